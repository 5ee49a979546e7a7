//! Judging a certificate: is it the pinned one, and is it valid today?

use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

use crate::{CertificateFault, Fingerprint};

/// Checks the dates of a DER certificate against `now`, in seconds since 1970.
pub(crate) fn check_dates(der: &[u8], now: u64) -> Result<(), CertificateFault> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| CertificateFault::Unreadable)?;
    if !rest.is_empty() {
        return Err(CertificateFault::Unreadable);
    }
    let validity = certificate.validity();
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    if now < validity.not_before.timestamp() {
        return Err(CertificateFault::NotYetValid(day(validity.not_before)));
    }
    if now > validity.not_after.timestamp() {
        return Err(CertificateFault::Expired(day(validity.not_after)));
    }
    Ok(())
}

/// The fingerprint of a DER certificate.
pub(super) fn fingerprint(der: &[u8]) -> Fingerprint {
    Fingerprint::of(der)
}

fn day(time: ASN1Time) -> String {
    time.to_datetime().date().to_string()
}
