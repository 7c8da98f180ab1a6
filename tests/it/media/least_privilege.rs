//! A credential that may only read objects is enough, and a missing object is still a missing object.

use gsgate::emulator::Object;

use crate::support::TestGateway;

#[tokio::test]
async fn without_the_permission_to_list_a_missing_object_is_not_found() {
    let gateway = TestGateway::start().await;
    gateway.put("here", Object::bytes("x"));
    gateway.bucket().restrict();
    gateway.bucket().grant(&gateway.gcs.email(), &["storage.objects.get"]);
    assert_eq!(gateway.client.get("/media/here", &[]).await.bytes(), b"x");
    for answer in [
        gateway.client.get("/media/gone", &[]).await,
        gateway.client.get("/media/gone2", &[("if-none-match", "*")]).await,
    ] {
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, "not_found"));
    }
    gateway.bucket().revoke(&gateway.gcs.email());
    let answer = gateway.client.get("/media/here", &[]).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (502, "upstream_denied"));
}
