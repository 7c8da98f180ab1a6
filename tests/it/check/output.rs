//! What the command prints: the table, the JSON, the script; and its exit codes.

use std::pin::pin;

use futures_util::StreamExt as _;
use gsgate::app::Source;
use gsgate::check::{Check, Checker, State};
use gsgate::config::Environment;
use gsgate::emulator::{Action, Fault, Gate, Operation};
use gsgate::metrics::Metrics;

use super::rig::Desk;

#[tokio::test]
async fn the_table_has_all_rows_in_order_and_no_colour() {
    let desk = Desk::new().await;
    let verdict = desk.run(&["street"]).await;
    assert_eq!(verdict.code, 0, "{}", verdict.complaint);
    assert!(!verdict.out.contains('\x1b'), "{}", verdict.out);
    let lines: Vec<&str> = verdict.out.lines().collect();
    assert_eq!(lines[0], "street  gs://test-media/data/");
    assert_eq!(lines.len(), 1 + Check::ALL.len(), "{}", verdict.out);
    for (line, check) in lines[1..].iter().zip(Check::ALL) {
        assert!(line.starts_with("  ok       ") && line[11..].starts_with(check.title()), "{line}");
    }
    desk.bucket().restrict();
    let verdict = desk.run(&[]).await;
    assert_eq!(verdict.code, 1);
    assert_eq!(verdict.complaint, "gsgate: the check fails for street\n");
    let at = |text: &str| verdict.out.find(text).unwrap_or_else(|| panic!("{text} is not in {}", verdict.out));
    assert!(at("  fail     permissions") < at("cause") && at("cause") < at("cure") && at("cure") < at("$ gcloud"));
}

#[tokio::test]
async fn rows_come_before_the_check_is_over() {
    let desk = Desk::new().await;
    desk.run(&["--config-only"]).await;
    let gate = Gate::new();
    desk.gcs.inject(Fault::new(Action::Delay(gate.clone())).on(Operation::List));
    let resolved = Source::file(desk.folder.path().join("gsgate.toml"), Environment::default()).load().unwrap();
    let checker = Checker::new(resolved, &Environment::default(), Metrics::new()).unwrap();
    let mut rows = pin!(checker.run(&checker.connections()[0]));
    for check in &Check::ALL[..5] {
        let row = rows.next().await.unwrap();
        assert_eq!((row.check, row.state), (*check, State::Ok), "{row:?}");
    }
    gate.open();
    let rest: Vec<_> = rows.map(|row| row.check).collect().await;
    assert_eq!(rest, Check::ALL[5..]);
}

#[tokio::test]
async fn the_script_grants_the_least() {
    let mut desk = Desk::new().await;
    let verdict = desk.run(&["--grant"]).await;
    assert_eq!(verdict.code, 0, "{}", verdict.complaint);
    let email = desk.gcs.email();
    for line in [
        "gcloud iam roles create gsgateReader --project=\"$PROJECT\"",
        "--permissions=storage.objects.get,storage.objects.list\n",
        &format!("add-iam-policy-binding gs://test-media --member=serviceAccount:{email}"),
    ] {
        assert!(verdict.out.contains(line), "{line} is not in {}", verdict.out);
    }
    assert!(!verdict.out.contains("buckets.update") && !verdict.out.contains("TokenCreator"), "{}", verdict.out);
    desk.key(&desk.gcs.impersonated_json(&[]));
    let verdict = desk.run(&["--grant", "street"]).await;
    let line = format!(
        "add-iam-policy-binding {email} --member=user:YOUR_ADDRESS --role=roles/iam.serviceAccountTokenCreator"
    );
    assert_eq!(verdict.out.matches(&line).count(), 1, "{}", verdict.out);
    desk.key("nonsense");
    assert!(desk.run(&["--grant"]).await.out.contains("fill in ADDRESS"));
    assert_eq!(desk.gcs.requests().len(), 0, "a script asks nobody");
    desk.credential = "source = \"anonymous\"".to_owned();
    assert!(desk.run(&["--grant"]).await.out.contains("has to be public"));
}

#[tokio::test]
async fn a_bad_configuration_is_64_and_bad_usage_2() {
    let mut desk = Desk::new().await;
    let verdict = desk.run(&["avenue"]).await;
    assert_eq!((verdict.code, verdict.out.as_str()), (64, ""));
    assert!(verdict.complaint.contains("there is street"), "{}", verdict.complaint);
    for arguments in [&["--json", "--grant"][..], &["--config-only", "--json"], &["--config-only", "street"]] {
        assert_eq!(desk.run(arguments).await.code, 2, "{arguments:?}");
    }
    assert!(desk.run(&["--config-only"]).await.out.contains("good; connections: street"));
    desk.connection = "uri = \"s3://test-media/\"".to_owned();
    for arguments in [&[][..], &["--json"], &["--grant"], &["--config-only"]] {
        let verdict = desk.run(arguments).await;
        assert_eq!((verdict.code, verdict.out.as_str()), (64, ""), "{arguments:?}");
        assert_eq!(verdict.complaint.lines().count(), 1, "{}", verdict.complaint);
    }
}
