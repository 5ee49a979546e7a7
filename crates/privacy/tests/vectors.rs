//! The accountant against reference values computed with Google's dp_accounting 0.6.0: `epsilon_vectors.csv` and
//! `more_vectors.csv`. A blank cell means that the method is not defined for the row.

use tercet_privacy::accountant::{Event, Mechanism, epsilon};

struct Row {
    name: String,
    event: Event,
    delta: f64,
    rdp: Option<f64>,
    order: Option<f64>,
    pld: Option<f64>,
    exact: Option<f64>,
}

fn rows() -> Vec<Row> {
    let files = [include_str!("epsilon_vectors.csv"), include_str!("more_vectors.csv")];
    files
        .iter()
        .flat_map(|file| csv::Reader::from_reader(file.as_bytes()).into_records())
        .map(|r| row(&r.expect("a row")))
        .collect()
}

fn row(record: &csv::StringRecord) -> Row {
    let number = |k: usize| (!record[k].is_empty()).then(|| record[k].parse::<f64>().expect("a number"));
    let count = |k: usize| record[k].parse::<u64>().expect("a count");
    let (q, sigma) = (number(3), number(4).expect("a noise level"));
    let mechanism = match &record[1] {
        "gaussian" => Mechanism::Gaussian { sigma },
        "poisson_gaussian" => Mechanism::PoissonGaussian { q: q.expect("q"), sigma },
        "truncated_poisson_gaussian" => {
            Mechanism::TruncatedPoissonGaussian { q: q.expect("q"), sigma, batch: count(6), n: count(7) }
        }
        "fixed_size_gaussian" => Mechanism::FixedSizeGaussian { sigma, batch: count(6), n: count(7) },
        "laplace" => Mechanism::Laplace { scale: sigma },
        // The column of the noise level holds ρ.
        "zcdp" => Mechanism::Zcdp { rho: sigma },
        other => panic!("unknown mechanism {other}"),
    };
    Row {
        name: record[0].to_owned(),
        event: (mechanism, count(5)),
        delta: number(8).expect("delta"),
        rdp: number(9),
        order: number(10),
        pld: number(11),
        exact: number(12),
    }
}

fn close(name: &str, method: &str, found: Option<f64>, wanted: Option<f64>, tolerance: f64) {
    match (found, wanted) {
        (Some(found), Some(wanted)) => {
            let off = found / wanted - 1.0;
            assert!(off.abs() <= tolerance, "{name} {method}: {found} is {off:e} off {wanted}");
        }
        (found, wanted) => assert_eq!(found.is_some(), wanted.is_some(), "{name} {method}"),
    }
}

#[test]
fn every_reference_row_is_met() {
    let rows = rows();
    assert!(rows.len() >= 23);
    for row in rows {
        let start = std::time::Instant::now();
        let found = epsilon(&[row.event], row.delta).unwrap_or_else(|e| panic!("{}: {e}", row.name));
        eprintln!("{} {:?} {:?}", row.name, found, start.elapsed());
        // The bound without replacement is computed without the reference's cancellation, hence its wider tolerance.
        let tolerance = if row.name.starts_with('f') { 1e-4 } else { 1e-8 };
        close(&row.name, "rdp", found.rdp, row.rdp, tolerance);
        close(&row.name, "pld", found.pld, row.pld, 1e-4);
        close(&row.name, "exact", found.exact, row.exact, 1e-9);
        if let Some(order) = row.order {
            assert_eq!(found.rdp_order, Some(order), "{}", row.name);
        }
    }
}
