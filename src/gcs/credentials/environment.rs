//! What surrounds a credential: environment variables, the time, who counts refreshes.
//!
//! A value, so that nothing here reads the process's environment or clock behind a test's back.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use crate::gcs::Endpoint;

type Lookup = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;
type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;
type Observer = Arc<dyn Fn(Refresh) + Send + Sync>;

/// How the fetching of one token ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refresh {
    /// There is a new token.
    Ok,
    /// There is none; the old one serves while it lives.
    Failed,
}

impl Refresh {
    /// `ok` or `failed`, as the metric has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
        }
    }
}

/// Environment variables, clock and observer for credentials.
#[derive(Clone)]
pub struct Environment {
    variables: Lookup,
    clock: Clock,
    on_refresh: Observer,
    iam_endpoint: Option<Endpoint>,
}

impl Environment {
    /// The process's variables and the system's clock.
    pub fn process() -> Self {
        Self::new(|name| std::env::var(name).ok())
    }

    /// These variables alone, and the system's clock.
    pub fn of<const N: usize>(variables: [(&str, &str); N]) -> Self {
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let variables: HashMap<_, _> = variables.into_iter().map(owned).collect();
        Self::new(move |name| variables.get(name).cloned())
    }

    /// Variables looked up by `variables`, and the system's clock.
    pub fn new(variables: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        let variables: Lookup = Arc::new(variables);
        Self { variables, clock: Arc::new(SystemTime::now), on_refresh: Arc::new(|_| ()), iam_endpoint: None }
    }

    /// Another clock.
    pub fn with_clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Is told how each fetching of a token ended.
    pub fn with_observer(mut self, observer: impl Fn(Refresh) + Send + Sync + 'static) -> Self {
        self.on_refresh = Arc::new(observer);
        self
    }

    /// Where IAM answers in place of `https://iamcredentials.googleapis.com`; for an emulator.
    pub fn with_iam_endpoint(mut self, endpoint: Endpoint) -> Self {
        self.iam_endpoint = Some(endpoint);
        self
    }

    /// A variable that is set and not empty.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        (self.variables)(name).filter(|value| !value.is_empty())
    }

    pub(crate) fn now(&self) -> SystemTime {
        (self.clock)()
    }

    pub(crate) fn refreshed(&self, outcome: Refresh) {
        (self.on_refresh)(outcome);
    }

    /// IAM's method `verb` on `account`.
    pub(crate) fn iam_url(&self, universe: &str, account: &str, verb: &str) -> String {
        let path = format!("/v1/projects/-/serviceAccounts/{account}:{verb}");
        match &self.iam_endpoint {
            Some(endpoint) => format!("{endpoint}{path}"),
            None => format!("https://iamcredentials.{universe}{path}"),
        }
    }

    /// The folder of gcloud's configuration.
    pub(crate) fn gcloud_folder(&self) -> Option<PathBuf> {
        let home = || Some(PathBuf::from(self.variable("HOME")?).join(".config/gcloud"));
        self.variable("CLOUDSDK_CONFIG").map(PathBuf::from).or_else(home)
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("iam_endpoint", &self.iam_endpoint).finish_non_exhaustive()
    }
}
