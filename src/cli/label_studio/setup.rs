//! `gsgate label-studio setup`: what is missing between Label Studio and the gateway, and the cure. Changes nothing.

use super::Target;
use crate::cli::Failure;
use crate::cli::tasks::told;
use crate::config::{Environment, Resolved};
use crate::label_studio::api::{Api, Error};
use crate::label_studio::export;
use crate::label_studio::task::Webhook;
use crate::label_studio::{fields, webhook};
use crate::server::PublicUrl;

/// The first release that this was tried with.
const OLDEST: (u32, u32) = (1, 20);
/// The events that an export lives on.
const EVENTS: [&str; 4] = ["ANNOTATION_CREATED", "ANNOTATIONS_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED"];

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    target: Target,
}

/// What was found.
#[derive(Default)]
struct Report {
    missing: usize,
}

impl Report {
    fn missing(&mut self, what: &str, why: impl std::fmt::Display, cure: impl std::fmt::Display) {
        self.missing += 1;
        println!("missing  {what}: {why}\n         cure: {cure}");
    }
}

fn good(what: &str, found: impl std::fmt::Display) {
    println!("ok       {what}: {found}");
}

fn note(what: &str, text: impl std::fmt::Display) {
    println!("note     {what}: {text}");
}

pub(super) async fn run(arguments: Arguments, environment: Environment) -> Result<(), Failure> {
    let resolved = arguments.target.load(&environment)?;
    let api = super::api(&resolved)?;
    let (mut report, project) = (Report::default(), arguments.target.project);
    if reachable(&api, &mut report).await && token(&api, &mut report).await {
        shown(&api, project, &resolved, &mut report).await;
        hooks(&api, project, &resolved, &mut report).await;
    }
    match report.missing {
        0 => Ok(()),
        1 => Err(Failure::runtime("1 thing is missing")),
        count => Err(Failure::runtime(format!("{count} things are missing"))),
    }
}

async fn reachable(api: &Api, report: &mut Report) -> bool {
    match api.version().await {
        Ok(version) => {
            let mut numbers = version.split('.').map(|part| part.parse::<u32>().unwrap_or_default());
            let found = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
            if found < OLDEST {
                let cure = format!("upgrade to {}.{} or later", OLDEST.0, OLDEST.1);
                report.missing("Label Studio", format_args!("{} is release {version}", api.server()), cure);
            } else {
                good("Label Studio", format_args!("{} is release {version}", api.server()));
            }
            true
        }
        // The version may need a user.
        Err(Error::Unauthorized(_) | Error::Forbidden(_) | Error::TokenFile { .. } | Error::NoToken(_)) => true,
        Err(error) => {
            report.missing("Label Studio", told(error), "correct label_studio.url, or let this machine reach it");
            false
        }
    }
}

async fn token(api: &Api, report: &mut Report) -> bool {
    match api.user().await {
        Ok(user) => good("token", format_args!("it is {}'s", user.email)),
        Err(error) => {
            let cure = "make a personal access token in Account & Settings, and put it into label_studio.token_file";
            report.missing("token", told(error), cure);
            return false;
        }
    }
    true
}

/// The project, and what its labelling configuration shows.
async fn shown(api: &Api, id: u64, resolved: &Resolved, report: &mut Report) {
    let project = match api.project(id).await {
        Ok(project) => project,
        Err(error) => return report.missing("project", told(error), "give the number in the project's URL"),
    };
    good("project", format_args!("{id} is {:?}, with {} tasks", project.title, project.task_number.unwrap_or(0)));
    let fields = fields::media(&project.label_config);
    if fields.is_empty() {
        let cure = "add a tag such as <Image name=\"image\" value=\"$image\"/> in Settings > Labeling Interface";
        return report.missing("labelling configuration", "it shows no media", cure);
    }
    for field in &fields {
        good("labelling configuration", format_args!("<{}> shows the field {:?}", field.tag, field.key));
    }
    let first = match api.stubs(id, 0).await {
        Ok(page) => page.tasks,
        Err(error) => return report.missing("tasks", told(error), "let the token's user see the project's tasks"),
    };
    for field in &fields {
        let lacking = first.iter().filter(|task| !task.data.contains_key(&field.key)).count();
        if lacking > 0 {
            let why = format!("{lacking} of the first {} tasks have no field {:?}", first.len(), field.key);
            let cure = "import with --data-key of that name, or change the tag's value";
            report.missing("tasks", why, cure);
        }
    }
    if resolved.config.server.public_url.is_none() {
        let cure = "add it, or import with --gs-uri and put the gateway in front of Label Studio";
        report.missing("server.public_url", "it is not set, and the tasks' URLs begin with it", cure);
    }
}

/// The webhook that an export needs.
async fn hooks(api: &Api, project: u64, resolved: &Resolved, report: &mut Report) {
    let Some(export) = &resolved.config.label_studio.export else {
        return note("export", "not configured; add [label_studio.export] to have annotations written to a bucket");
    };
    if !export.projects.contains(&project) {
        let cure = format!("add {project} to it");
        report.missing("label_studio.export.projects", format_args!("{project} is not in it"), cure);
    }
    if export.secret_file.is_none() {
        return note(
            "webhook",
            format_args!("no secret_file: annotations are written by sweeps alone, every {:?}", export.sweep),
        );
    }
    let hooks = match api.webhooks(project).await {
        Ok(hooks) => hooks,
        Err(error) => return report.missing("webhook", told(error), "let the token's user see webhooks"),
    };
    let here = hooks.iter().find(|hook| hook.url.trim_end_matches('/').ends_with(webhook::PATH));
    let Some(hook) = here else {
        let url = resolved.config.server.public_url.as_ref().map_or("https://gateway", PublicUrl::as_str);
        let cure = format!(
            "add one in Settings > Webhooks with the URL {url}{}, the header Authorization: Bearer SECRET, Send Payload \
                 on, and the events {}; for a private address Label Studio needs SSRF_PROTECTION_ENABLED=false",
            webhook::PATH,
            EVENTS.join(", ")
        );
        return report.missing("webhook", "the project has none that leads here", cure);
    };
    judge(hook, export, report);
}

fn judge(hook: &Webhook, export: &export::Config, report: &mut Report) {
    let before = report.missing;
    if !hook.is_active {
        report.missing("webhook", "it is switched off", "switch it on");
    }
    if !hook.send_payload {
        report.missing("webhook", "it sends no payload", "switch on Send Payload");
    }
    let lacking: Vec<&str> =
        EVENTS.into_iter().filter(|event| !hook.actions.iter().any(|action| action == event)).collect();
    if !hook.send_for_all_actions && !lacking.is_empty() {
        report.missing("webhook", format_args!("it does not send {}", lacking.join(", ")), "choose these events too");
    }
    if !sends_secret(hook, export) {
        let cure = "set its header Authorization to Bearer and what stands in label_studio.export.secret_file";
        report.missing("webhook", "it does not send the secret", cure);
    }
    if report.missing == before {
        good("webhook", &hook.url);
    }
}

/// Whether one of the two headers has the secret; neither is shown.
fn sends_secret(hook: &Webhook, export: &export::Config) -> bool {
    let Some(secret) = export.secret_file.as_ref().and_then(|path| std::fs::read_to_string(path).ok()) else {
        return false;
    };
    let header = |wanted: &str| {
        let found = hook.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.and_then(|(_, value)| value.as_str()).map(str::to_owned)
    };
    header(webhook::HEADER).is_some_and(|value| value.trim() == secret.trim())
        || header("authorization").is_some_and(|value| value == format!("Bearer {}", secret.trim()))
}
