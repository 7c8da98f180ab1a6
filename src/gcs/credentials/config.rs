//! The `[credentials.*]` tables: where a credential comes from and what it is turned into.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

use super::Error;

/// One `[credentials.NAME]` table. Holds the path of a secret, never the secret.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the credential comes from.
    pub source: Origin,
    /// The credential file, for `source = "file"`.
    pub path: Option<PathBuf>,
    /// How a service account's key becomes a token.
    pub token: TokenMethod,
    /// The service account to act as.
    pub impersonate: Option<Account>,
    /// The service accounts between the source and `impersonate`, each of which may act as the next.
    pub delegates: Vec<Account>,
    /// The service account to sign URLs as, through IAM signBlob.
    pub sign_as: Option<Account>,
}

/// Where a credential comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Application default credentials, in Google's order.
    #[default]
    Adc,
    /// A credential file.
    File,
    /// None: for public buckets.
    Anonymous,
}

/// How a service account's key becomes a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenMethod {
    /// A JWT that we sign is the token; nobody is asked.
    #[default]
    SelfSigned,
    /// The key's `token_uri` gives a token for a JWT.
    Exchange,
}

/// A service account's e-mail address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Account(String);

/// Not a service account's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a service account's address, such as media@project.iam.gserviceaccount.com")]
pub struct AccountError;

impl Account {
    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The resource name that IAM takes for a delegate.
    pub(crate) fn resource(&self) -> String {
        format!("projects/-/serviceAccounts/{}", self.0)
    }
}

impl TryFrom<String> for Account {
    type Error = AccountError;

    fn try_from(text: String) -> Result<Self, AccountError> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        match text.split_once('@') {
            Some((name, domain))
                if !name.is_empty()
                    && domain.contains('.')
                    && text.len() <= 254
                    && name.bytes().chain(domain.bytes()).all(legal) =>
            {
                Ok(Self(text))
            }
            _ => Err(AccountError),
        }
    }
}

impl Config {
    /// Checks what the types cannot say; the message names keys and the fix.
    pub fn check(&self) -> Result<(), Error> {
        let problem = match (self.source, &self.path) {
            (Origin::File, None) => "source = \"file\" needs path; add path = \"/secrets/key.json\"",
            (Origin::Adc, Some(_)) => "path needs source = \"file\"; set it or remove path",
            (Origin::Anonymous, _) if *self != (Self { source: Origin::Anonymous, ..Self::default() }) => {
                "source = \"anonymous\" excludes path, token, impersonate, delegates and sign_as; remove them"
            }
            _ if !self.delegates.is_empty() && self.impersonate.is_none() => {
                "delegates need impersonate, the account they lead to; add it or remove delegates"
            }
            _ if self.delegates.len() > 10 => "delegates has more than 10 accounts; shorten the chain",
            _ => return Ok(()),
        };
        Err(Error::Config(problem.to_owned()))
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("source", &self.source)
            .field("path", &self.path.as_ref().map(|_| "[redacted]"))
            .field("token", &self.token)
            .field("impersonate", &self.impersonate)
            .field("delegates", &self.delegates)
            .field("sign_as", &self.sign_as)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(toml: &str) -> Result<Config, String> {
        let config: Config = toml::from_str(toml).map_err(|error| error.to_string())?;
        config.check().map_err(|error| error.to_string()).map(|()| config)
    }

    #[test]
    fn good_tables_are_read() {
        assert_eq!(read("").map(|config| config.source), Ok(Origin::Adc));
        assert_eq!(read("source = \"anonymous\"").map(|config| config.source), Ok(Origin::Anonymous));
        let full = "source = \"file\"\npath = \"k.json\"\ntoken = \"exchange\"\nimpersonate = \"a@p.iam.gserviceaccount.com\"\n\
                    delegates = [\"b@p.iam.gserviceaccount.com\"]\nsign_as = \"a@p.iam.gserviceaccount.com\"";
        let config = read(full).expect("good");
        assert_eq!(config.token, TokenMethod::Exchange);
        assert!(!format!("{config:?}").contains("k.json"));
    }

    #[test]
    fn bad_tables_are_refused_with_key_and_fix() {
        for (bad, names) in [
            ("source = \"file\"", "needs path"),
            ("path = \"x\"", "path needs source"),
            ("source = \"anonymous\"\nimpersonate = \"a@b.c\"", "excludes path"),
            ("source = \"anonymous\"\ntoken = \"exchange\"", "excludes path"),
            ("delegates = [\"a@b.c\"]", "delegates need impersonate"),
            ("key = \"x\"", "unknown field `key`"),
            ("source = \"adcs\"", "unknown variant"),
            ("impersonate = \"a/b@c.d\"", "expected a service account's address"),
            ("sign_as = \"media\"", "expected a service account's address"),
        ] {
            let error = read(bad).expect_err(bad);
            assert!(error.contains(names), "{bad}: {error}");
        }
    }
}
