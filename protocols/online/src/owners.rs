//! Whose mask a row has: for protocols in which that makes products cheaper.
//!
//! The mask of an input is its owner's alone until it is mixed with others. Who brought which row, and which rows form a batch,
//! is public, so that every party knows the owners of every value's rows.

use std::sync::Arc;

use tercet_share::Linear;

/// For each row the evaluator that alone holds its mask; `None` if masks are mixed or not known to be one party's.
pub type Owners = Option<Arc<[u8]>>;

/// Of an input.
pub fn input(owner: usize, rows: usize) -> Owners {
    Some(vec![owner as u8; rows].into())
}

/// After a linear map: rows that are chosen or changed within keep their owners.
pub fn linear(owners: &Owners, f: &Linear) -> Owners {
    let owners = owners.as_ref()?;
    match f {
        Linear::Scale(_)
        | Linear::GatherCols(_)
        | Linear::ScatterCols { .. }
        | Linear::SumCols
        | Linear::SumGroups(_)
        | Linear::RepeatCols(_) => Some(owners.clone()),
        Linear::GatherRows(index) => index.iter().map(|&row| owners.get(row).copied()).collect(),
        Linear::Reshape(rows, _) if *rows == owners.len() => Some(owners.clone()),
        Linear::Reshape(..) | Linear::Transpose | Linear::SumRows | Linear::RepeatRows(_) => None,
    }
}

/// Of a sum; a public summand has no mask.
pub fn sum(x: (&Owners, bool), y: (&Owners, bool)) -> Owners {
    match (x, y) {
        ((owners, false), (_, true)) | ((_, true), (owners, false)) => owners.clone(),
        ((Some(a), false), (Some(b), false)) if a == b => Some(a.clone()),
        _ => None,
    }
}

/// Of rows one below the other: owners, number of rows, and whether they are public.
pub fn concat<'a>(parts: impl Iterator<Item = (&'a Owners, usize, bool)>) -> Owners {
    let mut all = Vec::new();
    for (owners, rows, public) in parts {
        match owners {
            Some(owners) => all.extend_from_slice(owners),
            // No mask at all: it can count as anybody's.
            None if public => all.resize(all.len() + rows, 0),
            None => return None,
        }
    }
    Some(all.into())
}
