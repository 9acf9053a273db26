//! Who verifies certificates: rustls.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use webpki::EndEntityCert;

/// Verifies that the peer has the key of the certificate that it shows, as rustls does it, and whose certificate that is.
#[derive(Debug)]
pub(super) struct Verifier {
    /// `None` for `rejectUnauthorized: false`: the connection is encrypted, and the peer can be anyone.
    trusted: Option<Trusted>,
    provider: Arc<CryptoProvider>,
}

/// The verifier of rustls, and the certificates that somebody has given it. One of its refusals is asked about again: that a
/// server shows the certificate of an authority. Where that very certificate was given as trusted, and has signed itself, the
/// server is who was meant: Node and OpenSSL accept it, and what many a guide makes with one command is such a certificate.
#[derive(Debug)]
struct Trusted {
    verifier: Arc<WebPkiServerVerifier>,
    given: Vec<CertificateDer<'static>>,
}

impl Trusted {
    /// Whether a certificate was given and is its own issuer.
    fn is_given(&self, certificate: &CertificateDer<'_>) -> bool {
        let own_issuer = |cert: EndEntityCert<'_>| cert.issuer() == cert.subject();
        self.given.contains(certificate) && EndEntityCert::try_from(certificate).is_ok_and(own_issuer)
    }
}

impl Verifier {
    /// Trusts `roots`; those of them that somebody gave, in place of or beside the public ones, are `given`.
    pub(super) fn trusting(
        roots: RootCertStore,
        given: Vec<CertificateDer<'static>>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, VerifierBuilderError> {
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?;
        Ok(Verifier { trusted: Some(Trusted { verifier, given }), provider })
    }

    /// Accepts every certificate.
    pub(super) fn of_anyone(provider: Arc<CryptoProvider>) -> Self {
        Verifier { trusted: None, provider }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(trusted) = &self.trusted else { return Ok(ServerCertVerified::assertion()) };
        let verified =
            trusted.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            // The dates are checked before this refusal, and the name here.
            Err(error) if is_of_authority(&error) && trusted.is_given(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The refusal of webpki behind an error of rustls, which has no name of its own for many of them.
pub(super) fn refusal(error: &Error) -> Option<&webpki::Error> {
    match error {
        Error::InvalidCertificate(CertificateError::Other(other)) => other.0.downcast_ref(),
        _ => None,
    }
}

fn is_of_authority(error: &Error) -> bool {
    refusal(error) == Some(&webpki::Error::CaUsedAsEndEntity)
}
