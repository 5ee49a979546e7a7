//! TLS 1.3 with pinned certificates on both sides.
//!
//! The verifiers replace the public-key infrastructure, not the cryptography: the certificate must be
//! pinned and in date, and the handshake signature is checked with the provider's algorithms. Session
//! resumption and early data are off, so every connection proves possession of the key again.

use std::sync::{Arc, Mutex, PoisonError};

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, PeerIncompatible,
    SignatureScheme,
};

use super::certificate::{check_dates, fingerprint};
use crate::identity::Identity;
use crate::{CertificateFault, NetError, PartyId, Roster};

/// The application protocol that both sides must name.
const ALPN: &[u8] = b"tercet/1";

/// TLS wants a server name; the verifier ignores it, because the pin says more.
pub(super) const SERVER_NAME: &str = "tercet.invalid";

/// Which certificates a verifier accepts.
enum Pins {
    /// The dialled party's only.
    One(PartyId),
    /// Every party's but the own.
    PeersOf(PartyId),
}

/// Accepts pinned certificates, for either side of a handshake.
pub(super) struct Verifier {
    roster: Roster,
    pins: Pins,
    algorithms: WebPkiSupportedAlgorithms,
    /// The last refusal, so that the error can say what rustls cannot.
    fault: Mutex<Option<CertificateFault>>,
}

impl Verifier {
    /// For dialling one party.
    pub(super) fn dialling(roster: &Roster, party: PartyId) -> Arc<Self> {
        Self::new(roster, Pins::One(party))
    }

    /// For answering both peers.
    pub(super) fn answering(roster: &Roster, me: PartyId) -> Arc<Self> {
        Self::new(roster, Pins::PeersOf(me))
    }

    fn new(roster: &Roster, pins: Pins) -> Arc<Self> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        Arc::new(Self { roster: roster.clone(), pins, algorithms, fault: Mutex::new(None) })
    }

    /// Takes the last refusal.
    pub(super) fn fault(&self) -> Option<CertificateFault> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn judge(&self, certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
        let judged = self.judge_pin(certificate).and_then(|()| check_dates(certificate, now.as_secs()));
        judged.map_err(|fault| {
            let error = match fault {
                CertificateFault::Expired(_) => CertificateError::Expired,
                CertificateFault::NotYetValid(_) => CertificateError::NotValidYet,
                CertificateFault::Unreadable => CertificateError::BadEncoding,
                _ => CertificateError::Other(OtherError(Arc::new(fault.clone()))),
            };
            *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
            Error::InvalidCertificate(error)
        })
    }

    fn judge_pin(&self, certificate: &CertificateDer<'_>) -> Result<(), CertificateFault> {
        let presented = fingerprint(certificate);
        let owner = self.roster.owner(&presented);
        match (&self.pins, owner) {
            (Pins::One(party), Some(owner)) if owner.id() == *party => Ok(()),
            (Pins::One(party), owner) => {
                let pinned = self.roster.fingerprint(*party);
                Err(CertificateFault::Wrong { presented, pinned, owner: owner.cloned() })
            }
            (Pins::PeersOf(me), Some(owner)) if owner.id() != *me => Ok(()),
            (Pins::PeersOf(_), _) => Err(CertificateFault::Unknown(presented)),
        }
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge(end_entity, now).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.judge(end_entity, now).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The own certificate with its key, read once and shared by every connection.
pub(super) type OwnKey = Arc<SingleCertAndKey>;

/// Reads the own key and checks that the certificate is its certificate.
pub(super) fn own_key(identity: &Identity) -> Result<OwnKey, NetError> {
    // Borrowed, so that no copy of the key is left behind here.
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(identity.key()));
    let key = ring::sign::any_supported_type(&key).map_err(unusable)?;
    let certified = CertifiedKey::new(vec![identity.certificate()], key);
    certified.keys_match().map_err(unusable)?;
    Ok(Arc::new(SingleCertAndKey::from(certified)))
}

/// The dialling side's TLS.
pub(super) fn client(own: &OwnKey, verifier: Arc<Verifier>) -> Result<Arc<QuicClientConfig>, NetError> {
    let mut config = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(unusable)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(own.clone());
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    QuicClientConfig::try_from(config).map(Arc::new).map_err(unusable)
}

/// The answering side's TLS.
pub(super) fn server(own: &OwnKey, verifier: Arc<Verifier>) -> Result<Arc<QuicServerConfig>, NetError> {
    let mut config = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(unusable)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(own.clone());
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    QuicServerConfig::try_from(config).map(Arc::new).map_err(unusable)
}

/// AES-128 before the other suites: as strong as the key exchange and all else here, and ten rounds on every byte instead of fourteen.
fn provider() -> Arc<CryptoProvider> {
    use ring::cipher_suite::{
        TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256,
    };
    let cipher_suites =
        vec![TLS13_AES_128_GCM_SHA256, TLS13_AES_256_GCM_SHA384, TLS13_CHACHA20_POLY1305_SHA256];
    Arc::new(CryptoProvider { cipher_suites, ..ring::default_provider() })
}

fn unusable(error: impl std::fmt::Display) -> NetError {
    NetError::OwnIdentity { reason: error.to_string() }
}
