//! Stands in for the credentials until they are here.

use http::HeaderValue;

use crate::gcs::Error;
use crate::object::ProjectId;

/// A credential with a fixed token, or none.
#[derive(Clone, Debug, Default)]
pub struct Credential(Option<Token>);

/// An authorization header.
#[derive(Clone, Debug)]
pub struct Token(HeaderValue);

impl Token {
    /// The header's value.
    pub fn authorization(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl Credential {
    /// The token.
    #[allow(clippy::unused_async, reason = "the real one waits")]
    pub async fn token(&self) -> Result<Option<Token>, Error> {
        Ok(self.0.clone())
    }

    /// Forgets that token.
    pub fn invalidate(&self, _token: &Token) {}

    /// Who pays for quota.
    pub fn quota_project(&self) -> Option<&ProjectId> {
        None
    }
}
