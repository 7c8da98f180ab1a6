//! Subject tokens that a program prints.
//!
//! Never runs unless the operator allowed it in the environment. No shell: words are split here, quotes kept together.
//! Follows <https://google.aip.dev/auth/4117#determining-the-subject-token-in-executable-sourced-credentials>.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, UNIX_EPOCH};

use serde::Deserialize;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use zeroize::Zeroizing;

use super::{ExternalAccount, MAX_SUBJECT, missing, read_bounded};
use crate::gcs::credentials::{Environment, Error, Secret};

/// The operator's consent.
pub(crate) const ALLOW_EXECUTABLES: &str = "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES";

/// A program, its arguments and its patience.
pub(crate) struct Executable {
    pub(crate) command: Vec<String>,
    pub(crate) timeout: Duration,
    pub(crate) output_file: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Output {
    version: u32,
    success: bool,
    token_type: Option<String>,
    id_token: Option<Secret>,
    saml_response: Option<Secret>,
    expiration_time: Option<u64>,
    code: Option<String>,
    message: Option<String>,
}

impl Executable {
    pub(super) async fn run(&self, account: &ExternalAccount, environment: &Environment) -> Result<Secret, Error> {
        if environment.variable(ALLOW_EXECUTABLES).as_deref() != Some("1") {
            return Err(missing(format!("running executables is not allowed; set {ALLOW_EXECUTABLES}=1")));
        }
        if let Some(token) = self.kept_token(environment).await {
            return Ok(token);
        }
        let printed = tokio::time::timeout(self.timeout, self.print(account))
            .await
            .map_err(|_| missing(format!("the executable took longer than {:?}", self.timeout)))??;
        token(&printed, environment, self.output_file.is_some())
    }

    /// The token that an earlier run left, if it still lives.
    async fn kept_token(&self, environment: &Environment) -> Option<Secret> {
        let bytes = read_bounded(self.output_file.as_ref()?).await.ok()?;
        token(&bytes, environment, true).ok()
    }

    async fn print(&self, account: &ExternalAccount) -> Result<Zeroizing<Vec<u8>>, Error> {
        let failed = |error: std::io::Error| Error::Subject {
            problem: "the executable did not run".to_owned(),
            source: Some(Box::new(error)),
        };
        let (program, arguments) = self.command.split_first().ok_or_else(|| missing("the command is empty"))?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env("GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE", &account.audience)
            .env("GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE", &account.subject_token_type)
            .env("GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        if let Some(email) = &account.impersonated {
            command.env("GOOGLE_EXTERNAL_ACCOUNT_IMPERSONATED_EMAIL", &**email);
        }
        if let Some(file) = &self.output_file {
            command.env("GOOGLE_EXTERNAL_ACCOUNT_OUTPUT_FILE", file);
        }
        let mut child = command.spawn().map_err(failed)?;
        let mut printed = Zeroizing::new(Vec::with_capacity(16 * 1024));
        if let Some(stdout) = child.stdout.take() {
            stdout.take(MAX_SUBJECT + 1).read_to_end(&mut printed).await.map_err(failed)?;
        }
        if printed.len() as u64 > MAX_SUBJECT {
            return Err(missing("the executable printed more than 64 KiB"));
        }
        let status = child.wait().await.map_err(failed)?;
        if status.success() { Ok(printed) } else { Err(missing(format!("the executable ended with {status}"))) }
    }
}

fn token(bytes: &[u8], environment: &Environment, must_expire: bool) -> Result<Secret, Error> {
    let output: Output =
        serde_json::from_slice(bytes).map_err(|_| missing("the executable's output is not the JSON it should be"))?;
    if output.version != 1 {
        return Err(missing(format!("the executable speaks version {}, not 1", output.version)));
    }
    if !output.success {
        let said: String = [output.code, output.message]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(": ")
            .chars()
            .take(300)
            .collect();
        return Err(missing(format!("the executable reports {said:?}")));
    }
    let now = environment.now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    match output.expiration_time {
        Some(end) if end <= now => return Err(missing("the executable's token has expired")),
        None if must_expire => return Err(missing("the executable's output has no expiration_time")),
        _ => {}
    }
    let token = match output.token_type.as_deref() {
        Some("urn:ietf:params:oauth:token-type:saml2") => output.saml_response,
        _ => output.id_token,
    };
    token.ok_or_else(|| missing("the executable's output has no id_token or saml_response"))
}

/// Words at white space; quotes keep words together, a backslash takes the next character as it is.
pub(crate) fn split_words(command: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut characters = command.chars();
    while let Some(character) = characters.next() {
        match (character, quote) {
            ('\\', None | Some('"')) => word.get_or_insert_default().push(characters.next()?),
            (c, Some(q)) if c == q => quote = None,
            ('"' | '\'', None) => {
                quote = Some(character);
                // Empty quotes are an empty word.
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    (quote.is_none() && !words.is_empty()).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_split_without_a_shell() {
        for (command, words) in [
            ("/bin/a  --x=1 $HOME", Some(vec!["/bin/a", "--x=1", "$HOME"])),
            (r#"'/my tool' "a \" b" c\ d """#, Some(vec!["/my tool", "a \" b", "c d", ""])),
            ("'open", None),
            ("  ", None),
        ] {
            let expected = words.map(|words| words.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(split_words(command), expected, "{command}");
        }
    }

    #[test]
    fn only_good_output_is_a_token() {
        let environment = Environment::of([]).with_clock(|| UNIX_EPOCH + Duration::from_secs(1000));
        let jwt = r#""token_type":"urn:ietf:params:oauth:token-type:jwt","id_token":"t""#;
        for (output, result) in [
            (format!(r#"{{"version":1,"success":true,{jwt}}}"#), "t"),
            (format!(r#"{{"version":1,"success":true,"expiration_time":1001,{jwt}}}"#), "t"),
            (format!(r#"{{"version":1,"success":true,"expiration_time":1000,{jwt}}}"#), "has expired"),
            (format!(r#"{{"version":2,"success":true,{jwt}}}"#), "version 2"),
            (r#"{"version":1,"success":false,"code":"401","message":"no"}"#.to_owned(), "401: no"),
            (r#"{"version":1,"success":true}"#.to_owned(), "no id_token"),
            ("secret".to_owned(), "not the JSON"),
        ] {
            let shown = token(output.as_bytes(), &environment, false)
                .map_or_else(|error| error.to_string(), |token| token.expose().to_owned());
            assert!(shown.contains(result), "{shown}");
        }
    }
}
