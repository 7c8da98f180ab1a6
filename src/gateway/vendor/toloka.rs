//! Toloka's data exchange: `/-/toloka/data/{key}?assignmentId=ID` serves the object while Toloka says that the assignment
//! is active and names it.
//!
//! Toloka is asked by `GET {api}/assignments/{id}` with an OAuth token; answers are kept for seconds, one question at a
//! time for each assignment, a few at once in all. When Toloka cannot be asked, nothing is served.
//! Follows <https://toloka.ai/docs/api/api-reference/#get-/assignments/-id->.

use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use moka::policy::EvictionPolicy;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::{Secret, VendorRefusal};

/// How long an active assignment is believed to be active.
const ACTIVE_FOR: Duration = Duration::from_secs(30);
/// How long any other answer is kept.
const OTHER_FOR: Duration = Duration::from_secs(5);
/// Memory for answers.
const MOST_BYTES: u64 = 16 * 1024 * 1024;
/// An assignment has a handful of tasks.
const LONGEST_ANSWER: usize = 1024 * 1024;
/// Questions under way at once.
const AT_ONCE: usize = 16;
/// For one question, waiting for its turn included.
const PATIENCE: Duration = Duration::from_secs(10);
const LONGEST_ID: usize = 128;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The adapter.
#[derive(Clone, Debug)]
pub struct Toloka {
    /// The connection whose objects tasks name.
    pub connection: String,
    api: Arc<str>,
    token: http::HeaderValue,
    client: reqwest::Client,
    turns: Arc<Semaphore>,
    answers: Cache<String, Arc<Answer>>,
}

/// What Toloka said.
#[derive(Debug)]
struct Answer {
    at: Instant,
    /// The values that the tasks name; nothing if the assignment is not active.
    named: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Assignment {
    status: String,
    #[serde(default)]
    tasks: Vec<Task>,
}

#[derive(Deserialize)]
struct Task {
    #[serde(default)]
    input_values: Map<String, Value>,
}

#[derive(Debug, thiserror::Error)]
enum AskError {
    #[error("no answer")]
    Unreachable(#[source] reqwest::Error),
    #[error("status {0}")]
    Status(u16),
    #[error("more than 1 MiB")]
    TooLong,
    #[error("not an assignment")]
    Json(#[source] serde_json::Error),
    #[error("too many questions are waiting")]
    Busy,
}

impl Toloka {
    /// `None` if the token cannot stand in a header.
    pub fn new(connection: String, api: &str, token: &Secret, client: reqwest::Client) -> Option<Self> {
        let weigh = |id: &String, answer: &Arc<Answer>| {
            let named = answer.named.iter().flatten().map(|value| value.len() + 24).sum::<usize>();
            u32::try_from(256 + id.len() + named).unwrap_or(u32::MAX)
        };
        let answers = Cache::builder()
            .max_capacity(MOST_BYTES)
            .weigher(weigh)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_live(ACTIVE_FOR)
            .build();
        let (token, turns) = (token.header("OAuth ")?, Arc::new(Semaphore::new(AT_ONCE)));
        Some(Self { connection, api: api.into(), token, client, turns, answers })
    }

    /// Whether the assignment is active and names `key`.
    pub async fn admits(&self, key: &str, assignment: &str) -> Result<(), VendorRefusal> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if !(1..=LONGEST_ID).contains(&assignment.len()) || !assignment.bytes().all(legal) {
            return Err(VendorRefusal::AssignmentId);
        }
        let answer = self.answer(assignment).await.map_err(VendorRefusal::Unavailable)?;
        let named = answer.named.as_ref().ok_or(VendorRefusal::NotActive)?;
        if named.iter().any(|value| value == key) { Ok(()) } else { Err(VendorRefusal::NotNamed) }
    }

    /// A kept answer that is young enough, or a new one.
    async fn answer(&self, assignment: &str) -> Result<Arc<Answer>, Failure> {
        if let Some(answer) = self.answers.get(assignment).await {
            if answer.holds(Instant::now()) {
                return Ok(answer);
            }
            self.answers.invalidate(assignment).await;
        }
        let asked =
            self.answers.try_get_with(assignment.to_owned(), async { self.ask(assignment).await.map(Arc::new) });
        asked.await.map_err(|error: Arc<AskError>| Failure::from(error))
    }

    async fn ask(&self, assignment: &str) -> Result<Answer, AskError> {
        let turn = tokio::time::timeout(PATIENCE, self.turns.acquire()).await;
        let _turn = turn.map_err(|_| AskError::Busy)?.map_err(|_| AskError::Busy)?;
        let url = format!("{}/assignments/{assignment}", self.api);
        let request = self.client.get(url).header(http::header::AUTHORIZATION, self.token.clone()).timeout(PATIENCE);
        let unreachable = |error: reqwest::Error| AskError::Unreachable(error.without_url());
        let mut response = request.send().await.map_err(unreachable)?;
        let at = Instant::now();
        match response.status() {
            http::StatusCode::OK => {}
            http::StatusCode::NOT_FOUND => return Ok(Answer { at, named: None }),
            other => return Err(AskError::Status(other.as_u16())),
        }
        let mut json = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if json.len() + chunk.len() > LONGEST_ANSWER {
                return Err(AskError::TooLong);
            }
            json.extend_from_slice(&chunk);
        }
        let assignment: Assignment = serde_json::from_slice(&json).map_err(AskError::Json)?;
        Ok(Answer { at, named: assignment.named() })
    }
}

impl Assignment {
    fn named(self) -> Option<Vec<String>> {
        let values = self.tasks.into_iter().flat_map(|task| task.input_values.into_iter());
        let texts = values.filter_map(|(_, value)| match value {
            Value::String(text) => Some(text),
            _ => None,
        });
        (self.status == "ACTIVE").then(|| texts.collect())
    }
}

impl Answer {
    fn holds(&self, now: Instant) -> bool {
        let age = now.duration_since(self.at);
        age < if self.named.is_some() { ACTIVE_FOR } else { OTHER_FOR }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_active_assignment_names_anything() {
        let named = |json: &str| serde_json::from_str::<Assignment>(json).expect("legal").named();
        let tasks = r#"[{"input_values": {"image": "a.jpg", "n": 1}}, {"input_values": {"audio": "b.mp3"}}, {}]"#;
        let active = format!(r#"{{"id": "1", "status": "ACTIVE", "tasks": {tasks}}}"#);
        assert_eq!(named(&active), Some(vec!["a.jpg".to_owned(), "b.mp3".to_owned()]));
        assert_eq!(named(&active.replace("ACTIVE", "SUBMITTED")), None);
        assert_eq!(named(r#"{"status": "ACTIVE"}"#), Some(Vec::new()));
    }

    #[test]
    fn answers_are_kept_for_seconds() {
        let at = Instant::now();
        let moment = Duration::from_nanos(1);
        for (named, age) in [(Some(Vec::new()), ACTIVE_FOR), (None, OTHER_FOR)] {
            let answer = Answer { at, named };
            assert!(answer.holds(at + age.saturating_sub(moment)) && !answer.holds(at + age));
        }
    }
}
