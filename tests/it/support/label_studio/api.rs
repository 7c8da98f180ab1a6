//! Label Studio's API, and its pages as a signed-in user without a browser sees them.

use http::{Method, StatusCode};
use reqwest::header::{COOKIE, REFERER, SET_COOKIE};
use reqwest::redirect::Policy;
use serde_json::{Value, json};

/// Asks in the name of one user.
#[derive(Clone)]
pub struct Api {
    url: String,
    token: String,
    http: reqwest::Client,
}

/// A signed-in user's cookies.
#[derive(Clone, Debug)]
pub struct Session {
    pub cookies: String,
}

impl Api {
    pub(super) fn new(url: String, token: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
        Self { url, token: token.to_owned(), http }
    }

    /// The value of the `Authorization` header.
    pub fn authorization(&self) -> String {
        format!("Token {}", self.token)
    }

    /// Any request; the answer's status, and its JSON or its text.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> (StatusCode, Value) {
        let request = self.http.request(method, format!("{}{path}", self.url));
        let request = request.header("authorization", self.authorization());
        let answer = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let answer = answer.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// GET, which must succeed.
    pub async fn get(&self, path: &str) -> Value {
        self.done(Method::GET, path, None).await
    }

    /// POST, which must succeed.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        self.done(Method::POST, path, Some(body)).await
    }

    /// A new project; its id.
    pub async fn project(&self, title: &str, label_config: &str) -> u64 {
        let made = self.post("/api/projects", &json!({ "title": title, "label_config": label_config })).await;
        made["id"].as_u64().unwrap()
    }

    /// Imports a JSON array of tasks, as one pastes it into the import page.
    pub async fn import(&self, project: u64, tasks: &Value) -> Value {
        self.post(&format!("/api/projects/{project}/import"), tasks).await
    }

    /// The ids of a project's tasks, in the order in which they were made.
    pub async fn tasks(&self, project: u64) -> Vec<u64> {
        let page = self.get(&format!("/api/tasks?project={project}&page_size=1000&resolve_uri=false")).await;
        let mut ids: Vec<u64> = page["tasks"].as_array().unwrap().iter().map(|t| t["id"].as_u64().unwrap()).collect();
        ids.sort_unstable();
        ids
    }

    /// A GCS source storage of a project, for the whole bucket; `settings` adds to it or replaces. Its id.
    pub async fn source_storage(&self, project: u64, bucket: &str, settings: Value) -> u64 {
        let mut storage = json!({
            "project": project, "title": "source", "bucket": bucket, "use_blob_urls": true, "presign": true,
            "recursive_scan": true,
        });
        for (key, value) in settings.as_object().unwrap() {
            storage[key] = value.clone();
        }
        self.post("/api/storages/gcs/", &storage).await["id"].as_u64().unwrap()
    }

    /// Signs somebody up, as the sign-up page does it.
    pub async fn sign_up(&self, email: &str, password: &str) -> Session {
        self.form("/user/signup/", email, password).await
    }

    /// Signs somebody in, as the login page does it.
    pub async fn sign_in(&self, email: &str, password: &str) -> Session {
        self.form("/user/login/", email, password).await
    }

    async fn form(&self, path: &str, email: &str, password: &str) -> Session {
        let url = format!("{}{path}", self.url);
        let page = Session::of(&self.http.get(&url).send().await.unwrap());
        let csrf = page.cookies.split("; ").find_map(|cookie| cookie.strip_prefix("csrftoken=")).unwrap().to_owned();
        let fields = [("csrfmiddlewaretoken", csrf.as_str()), ("email", email), ("password", password)];
        let request = self.http.post(&url).header(COOKIE, &page.cookies).header(REFERER, &url).form(&fields);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::FOUND, "{path} for {email}");
        Session::of(&answer)
    }

    async fn done(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let (status, answer) = self.call(method, path, body).await;
        assert!(status.is_success(), "{path}: {status}: {answer}");
        answer
    }
}

impl Session {
    fn of(answer: &reqwest::Response) -> Self {
        let lines = answer.headers().get_all(SET_COOKIE).iter().map(|line| line.to_str().unwrap());
        let cookies: Vec<&str> = lines.filter_map(|line| line.split(';').next()).map(str::trim).collect();
        Self { cookies: cookies.join("; ") }
    }
}
