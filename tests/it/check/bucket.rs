//! The bucket and what is in it: refusals, prefixes, names, CORS, IP filters.

use gsgate::emulator::{Action, Fault, Object, Operation};
use serde_json::json;

use super::rig::{BUCKET, Desk};

const GET: &str = "storage.objects.get";
const LIST: &str = "storage.objects.list";

#[tokio::test]
async fn a_missing_permission_is_named_with_its_role_and_for_whom() {
    let desk = Desk::new().await;
    let email = desk.gcs.email();
    let binding = format!(
        "gcloud storage buckets add-iam-policy-binding gs://{BUCKET} --member=serviceAccount:{email} \
         --role=roles/storage.objectViewer"
    );
    desk.bucket().restrict();
    let verdict = desk.assert_fails("permissions", "permission-missing", &[GET, LIST, &email, &binding]).await;
    verdict.assert_skipped(&["objects", "first-byte", "signed-url", "cors", "ip-filter"]);

    desk.bucket().grant(&email, &[GET]);
    let verdict = desk.check().await;
    verdict.assert("warn", "permissions", "permission-missing", &[LIST, &binding]);
    assert_eq!(verdict.code, 0, "serving works without listing");
    verdict.assert_skipped(&["objects", "first-byte", "signed-url"]);

    desk.bucket().grant(&email, &[LIST]);
    desk.assert_green().await;
    let verdict = desk.check().await;
    let finding = verdict.row("permissions")["finding"].to_string();
    assert!(finding.contains("storage.buckets.update not needed"), "{finding}");
    verdict.assert_skipped(&["cors", "ip-filter"]);

    let denied = format!("{email} does not have {GET} access to the Google Cloud Storage object.");
    let action = Action::Status { code: 403, headers: Vec::new(), body: denied };
    desk.gcs.inject(Fault::new(action).on(Operation::Media).always());
    desk.assert_fails("first-byte", "permission-missing", &[GET, &binding]).await;
    desk.gcs.clear_faults();
    desk.assert_green().await;
}

#[tokio::test]
async fn a_role_under_a_condition_is_found_by_trying() {
    let desk = Desk::new().await;
    let body = json!({"kind": "storage#testIamPermissionsResponse"}).to_string();
    let action = Action::Status { code: 200, headers: Vec::new(), body };
    desk.gcs.inject(Fault::new(action).on(Operation::TestPermissions).always());
    desk.assert_green().await;
    let finding = desk.check().await.row("permissions")["finding"].to_string();
    assert!(finding.contains("only under a condition"), "{finding}");
}

#[tokio::test]
async fn a_bucket_that_is_not_there_brings_the_guides_list() {
    let mut desk = Desk::new().await;
    desk.connection = "uri = \"gs://test-medai/data/\"".to_owned();
    let words = [
        "typos",
        "gs://exact-bucket-name/folder/",
        "in which project",
        "gcloud storage buckets list --project=emulated-project",
    ];
    let verdict = desk.assert_fails("bucket", "bucket-not-found", &words).await;
    verdict.assert_skipped(&["permissions", "objects", "first-byte", "signed-url", "cors", "ip-filter"]);
    assert_eq!(verdict.row("clock")["state"], "ok");
    desk.connection = "uri = \"gs://test-media/data/\"".to_owned();
    desk.assert_green().await;
}

#[tokio::test]
async fn an_empty_prefix_brings_a_near_miss() {
    let mut desk = Desk::new().await;
    for (path, hint) in [
        ("Data/", "gs://test-media/data/\\\""),
        ("dtaa/", "gs://test-media/data/\\\""),
        ("/data/", "double slash"),
        ("data/deep/er/", "typos"),
        ("nothing-like-it/", "capitals count"),
    ] {
        desk.connection = format!("uri = \"gs://test-media/{path}\"");
        let verdict = desk.assert_fails("objects", "empty-prefix", &[hint, "gcloud storage ls"]).await;
        verdict.assert_skipped(&["first-byte", "signed-url"]);
    }
    desk.connection = "uri = \"gs://test-media/data/\"".to_owned();
    desk.assert_green().await;
}

#[tokio::test]
async fn a_prefix_without_its_slash_is_noticed() {
    let mut desk = Desk::new().await;
    desk.bucket().put("data2/b.png", Object::bytes("pixels"));
    desk.connection = "uri = \"gs://test-media/data\"".to_owned();
    let verdict = desk.check().await;
    verdict.assert("warn", "objects", "prefix-without-slash", &["data2/b.png", "gs://test-media/data/"]);
    assert_eq!(verdict.code, 0);
    desk.connection = "uri = \"gs://test-media/data/\"".to_owned();
    desk.assert_green().await;
}

#[tokio::test]
async fn a_filter_that_matches_nothing_and_names_no_url_can_carry_are_told() {
    let mut desk = Desk::new().await;
    desk.connection = "uri = \"gs://test-media/data/\"\nfilter = \"a[.]png\"".to_owned();
    desk.assert_fails("objects", "filter-matches-nothing", &["connections.street.filter", "full name"]).await;
    desk.connection = "uri = \"gs://test-media/data/\"\nfilter = \".*[.]png\"".to_owned();
    desk.assert_green().await;

    desk.connection = "uri = \"gs://test-media/\"\nrecursive = false".to_owned();
    desk.assert_fails("objects", "filter-matches-nothing", &["recursive = true"]).await;
    desk.connection = "uri = \"gs://test-media/data/\"".to_owned();

    desk.bucket().put("data/../b.png", Object::bytes("pixels"));
    desk.check().await.assert("warn", "objects", "unservable-names", &["data/../b.png", "rename"]);
    desk.bucket().remove("data/../b.png");
    desk.bucket().remove("data/a.png");
    desk.bucket().put("data/", Object::bytes(""));
    desk.assert_fails("objects", "empty-prefix", &["data/"]).await;
    desk.bucket().put("data/a.png", Object::bytes("pixels"));
    desk.bucket().empty_pages(true);
    desk.assert_green().await;
}

#[tokio::test]
async fn requester_pays_needs_a_project() {
    let mut desk = Desk::new().await;
    desk.bucket().requester_pays(true);
    let role = "roles/serviceusage.serviceUsageConsumer";
    desk.assert_fails("bucket", "requester-pays", &["connections.street.project_id", role]).await;
    desk.connection.push_str("\nproject_id = \"payer\"");
    desk.assert_green().await;
    let body = "The caller does not have serviceusage.services.use access to the Google Cloud project.".to_owned();
    let action = Action::Status { code: 403, headers: Vec::new(), body };
    desk.gcs.inject(Fault::new(action).on(Operation::TestPermissions).always());
    let binding = "gcloud projects add-iam-policy-binding payer";
    desk.assert_fails("bucket", "payer-denied", &[binding, role]).await;
}

#[tokio::test]
async fn a_403_that_no_role_mends_is_told_apart() {
    let desk = Desk::new().await;
    for (message, fault, words) in [
        (
            "Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: AbC-12_x.",
            "vpc-service-controls",
            ["199.36.153.4:443", "vpcServiceControlsUniqueId=\\\"AbC-12_x\\\""],
        ),
        (
            "The billing account for the owning project is disabled in state absent",
            "billing-disabled",
            ["gcloud billing projects link", "billing account"],
        ),
    ] {
        let body = json!({"error": {"code": 403, "message": message}}).to_string();
        let action = Action::Status { code: 403, headers: Vec::new(), body };
        desk.gcs.inject(Fault::new(action).on(Operation::TestPermissions).always());
        desk.assert_fails("bucket", fault, &words).await;
        desk.gcs.clear_faults();
        desk.assert_green().await;
    }
}

#[tokio::test]
async fn an_ip_filter_that_keeps_the_gateway_or_browsers_out_is_told() {
    let mut desk = Desk::new().await;
    let filter = |range: &str| json!({"mode": "Enabled", "publicNetworkSource": {"allowedIpCidrRanges": [range]}});
    desk.bucket().set_ip_filter(filter("203.0.113.0/24"));
    let words = ["--ip-filter-file=ip-filter.json", "--clear-ip-filter", "outgoing address"];
    desk.assert_fails("bucket", "ip-filter", &words).await;
    desk.bucket().set_ip_filter(filter("127.0.0.0/8"));
    desk.check().await.assert("warn", "ip-filter", "ip-filter", &["browser", "delivery = \\\"proxy\\\""]);
    desk.connection.push_str("\ndelivery = \"proxy\"");
    desk.assert_green().await;
}

#[tokio::test]
async fn bucket_cors_matters_only_where_pages_are_redirected() {
    let mut desk = Desk::new().await;
    desk.assert_green().await;
    let finding = desk.check().await.row("cors")["finding"].to_string();
    assert!(finding.contains("not needed"), "{finding}");
    desk.connection.push_str("\ndelivery = \"signed-url\"");
    desk.check().await.assert("warn", "cors", "cors-missing", &["delivery = \\\"auto\\\"", "Origin: null"]);
    desk.bucket().set_cors(json!([{"origin": ["*"], "method": ["GET"]}]));
    desk.assert_green().await;
    desk.credential = "source = \"anonymous\"".to_owned();
    desk.bucket().set_public();
    desk.assert_fails("signed-url", "cannot-sign", &["credentials.default.sign_as"]).await;
}
