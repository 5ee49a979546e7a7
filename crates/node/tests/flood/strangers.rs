//! Callers that are no peers, each in its own way.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use tercet_net::identity;
use tokio::runtime::Runtime;

/// Calls at the same time.
const AT_ONCE: usize = 48;

/// What is wrong with a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A good certificate of nobody in the job.
    Stranger,
    /// No certificate.
    Anonymous,
    /// Another application protocol.
    OtherProtocol,
    /// A party's certificate, which anybody may have seen, without its key.
    Impostor,
}

impl Caller {
    pub const ALL: [Caller; 4] =
        [Caller::Stranger, Caller::Anonymous, Caller::OtherProtocol, Caller::Impostor];
}

/// What all callers share.
pub struct Strangers {
    runtime: Runtime,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    stolen: CertificateDer<'static>,
    other_key: PrivateKeyDer<'static>,
}

impl Strangers {
    /// Strangers who have seen the certificate of a party, and hold some other party's kind of key.
    pub fn new(stolen: &Path, other_key: &Path) -> Strangers {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = (folder.path().join("crt"), folder.path().join("key"));
        identity::generate("stranger").unwrap().save(&certificate, &key).unwrap();
        let read = |path: &Path| CertificateDer::from_pem_file(path).unwrap();
        let read_key = |path: &Path| PrivateKeyDer::from_pem_file(path).unwrap();
        Strangers {
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
            certificate: read(&certificate),
            key: read_key(&key),
            stolen: read(stolen),
            other_key: read_key(other_key),
        }
    }

    fn config(&self, caller: Caller) -> ClientConfig {
        let builder = rustls::ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Trusting));
        let mut tls = match caller {
            Caller::Anonymous => builder.with_no_client_auth(),
            Caller::Stranger | Caller::OtherProtocol => {
                builder.with_client_auth_cert(vec![self.certificate.clone()], self.key.clone_key()).unwrap()
            }
            Caller::Impostor => {
                let key = ring::sign::any_supported_type(&self.other_key).unwrap();
                let pair = CertifiedKey::new(vec![self.stolen.clone()], key);
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair)))
            }
        };
        let protocol = if caller == Caller::OtherProtocol { &b"h3"[..] } else { b"tercet/1" };
        tls.alpn_protocols = vec![protocol.to_vec()];
        ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()))
    }

    /// Calls these addresses in turn, `count` times in all, and says how many calls the other side ended.
    pub fn call(&self, caller: Caller, addresses: &[SocketAddr], count: usize) -> usize {
        let config = self.config(caller);
        let next = AtomicUsize::new(0);
        let refused = AtomicUsize::new(0);
        let line = async |endpoint: Endpoint| {
            loop {
                let call = next.fetch_add(1, Ordering::Relaxed);
                if call >= count {
                    return;
                }
                let address = addresses[call % addresses.len()];
                let connecting = endpoint.connect_with(config.clone(), address, "tercet.invalid").unwrap();
                let ended = tokio::time::timeout(Duration::from_secs(20), async {
                    match connecting.await {
                        // With TLS 1.3 the caller is done before the other side has judged its certificate.
                        Ok(connection) => connection.closed().await,
                        Err(error) => error,
                    }
                });
                if ended.await.is_ok_and(|error| error.to_string().starts_with("aborted by peer")) {
                    refused.fetch_add(1, Ordering::Relaxed);
                }
            }
        };
        self.runtime.block_on(async {
            let endpoint = Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
            let mut lines: Vec<_> = (0..AT_ONCE).map(|_| Box::pin(line(endpoint.clone()))).collect();
            std::future::poll_fn(|context| {
                lines.retain_mut(|line| line.as_mut().poll(context).is_pending());
                if lines.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            })
            .await;
            endpoint.close(0_u32.into(), b"");
        });
        refused.into_inner()
    }

    /// Sends packets that are none, and first packets of connections that nobody continues.
    pub fn garbage(&self, addresses: &[SocketAddr], count: usize) {
        let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        for packet in 0..count {
            let mut bytes: Vec<u8> = (0..1200)
                .map(|_| {
                    state =
                        state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    (state >> 56) as u8
                })
                .collect();
            match packet % 3 {
                0 => bytes.truncate(packet % 97),
                // A long header of QUIC version 1, then noise.
                1 => bytes[..6].copy_from_slice(&[0xc3, 0, 0, 0, 1, 8]),
                _ => {}
            }
            // A full socket buffer drops it, as a network would.
            let _ = socket.send_to(&bytes, addresses[packet % addresses.len()]);
        }
    }
}

/// A stranger does not mind whom it talks to.
#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
