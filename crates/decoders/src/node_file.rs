//! The node file and the sources file of one party.

use tercet_node::config::NodeConfig;
use tercet_node::sources;

use crate::scratch;

pub(crate) fn run(bytes: &[u8]) -> bool {
    match NodeConfig::read(&scratch::file("node.toml", bytes)) {
        Ok(config) => {
            assert!(config.key.is_absolute() && config.out.is_absolute());
            true
        }
        Err(error) => one_line(&error),
    }
}

pub(crate) fn run_sources(bytes: &[u8]) -> bool {
    sources::read(&scratch::file("all.data.toml", bytes)).map_or_else(|error| one_line(&error), |_| true)
}

fn one_line(error: &dyn std::error::Error) -> bool {
    let sentence = error.to_string();
    assert!(!sentence.contains('\n'), "an error is one line: {sentence:?}");
    false
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let least = "name = \"a\"\nlisten = \"127.0.0.1:9000\"\nkey = \"a.key\"\ncertificate = \"a.crt\"\nout = \"out\"\n";
    let whole = format!(
        "{least}material = \"material\"\nlog = \"node.log\"\ndeadline_seconds = 30\nthreads = 8\n\n\
         [data]\ntrain = {{ file = \"rows.csv\" }}\ntest = {{ images = \"i\", labels = \"l\", rows = {{ first = 1, count = 2 }} }}\n\n\
         [budget]\nledger = \"rows.ledger\"\nepsilon = 3.0\ndelta = 1e-5\n\n[peers]\nb = \"10.0.0.7:9000\"\n\n\
         [transport]\npath = \"network\"\nmax_datagram = 4000\nread_ahead_online = 67108864\n"
    );
    vec![least.as_bytes().to_vec(), whole.into_bytes()]
}

pub(crate) fn source_seeds() -> Vec<Vec<u8>> {
    [
        &include_bytes!("../../../testnet/jobs/breast-cancer.data.toml")[..],
        include_bytes!("../../../testnet/jobs/mnist.data.toml"),
    ]
    .map(<[u8]>::to_vec)
    .to_vec()
}
