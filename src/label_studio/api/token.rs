//! Tokens for Label Studio: a personal access token, which is exchanged for short-lived ones, or a legacy token.
//!
//! The file is read anew for each exchange, so that another token comes into use without a restart.
//! Follows <https://labelstud.io/guide/access_tokens>.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::{Api, Error};

/// Label Studio's access tokens live five minutes.
const LIFE: Duration = Duration::from_mins(4);
/// No token is longer.
const LONGEST: usize = 16 * 1024;

/// Keeps what goes into `Authorization`.
pub(super) struct Keeper {
    file: PathBuf,
    held: Mutex<Option<Held>>,
}

struct Held {
    authorization: HeaderValue,
    until: Option<Instant>,
}

impl Keeper {
    pub(super) fn new(file: PathBuf) -> Self {
        Self { file, held: Mutex::new(None) }
    }

    /// A header that should be taken. Two who ask at once may both exchange, which harms nobody.
    pub(super) async fn get(&self, api: &Api) -> Result<HeaderValue, Error> {
        if let Some(held) = &*self.held.lock().unwrap_or_else(PoisonError::into_inner)
            && held.until.is_none_or(|until| until > Instant::now())
        {
            return Ok(held.authorization.clone());
        }
        let token = self.read().await?;
        let (scheme, secret, until) = if is_personal(&token) {
            ("Bearer", exchange(api, &token).await?, Some(Instant::now() + LIFE))
        } else {
            ("Token", token, None)
        };
        let mut authorization =
            HeaderValue::try_from(format!("{scheme} {}", *secret)).map_err(|_| Error::NoToken(self.file.clone()))?;
        authorization.set_sensitive(true);
        let held = Held { authorization: authorization.clone(), until };
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
        Ok(authorization)
    }

    /// Drops a header that was not taken; whether another may be.
    pub(super) fn forget(&self, refused: &HeaderValue) -> bool {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.as_ref().is_some_and(|held| held.authorization == *refused) {
            *held = None;
        }
        true
    }

    async fn read(&self) -> Result<Zeroizing<String>, Error> {
        let unreadable = |source| Error::TokenFile { path: self.file.clone(), source };
        let text = Zeroizing::new(tokio::fs::read_to_string(&self.file).await.map_err(unreadable)?);
        let token = text.trim();
        let legal = !token.is_empty() && token.len() <= LONGEST && token.bytes().all(|byte| byte.is_ascii_graphic());
        if legal { Ok(Zeroizing::new(token.to_owned())) } else { Err(Error::NoToken(self.file.clone())) }
    }
}

/// A JWT has three parts; a legacy token is hexadecimal.
fn is_personal(token: &str) -> bool {
    token.split('.').count() == 3
}

/// A personal access token is a refresh token.
async fn exchange(api: &Api, token: &str) -> Result<Zeroizing<String>, Error> {
    #[derive(Deserialize)]
    struct Answer {
        access: String,
    }
    let body = json!({ "refresh": token });
    let answer = api.send(&reqwest::Method::POST, "/api/token/refresh/", Some(&body), None).await?;
    // serde's own message could quote the answer.
    let answer: Answer = serde_json::from_slice(&answer).map_err(|_| api.nonsense("no access token"))?;
    Ok(Zeroizing::new(answer.access))
}
