//! Criterion benches and the cost-against-plaintext table.
