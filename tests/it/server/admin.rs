//! The admin listener over a socket.

use gsgate::metrics::Metrics;
use gsgate::server::admin::Admin;
use gsgate::server::readiness::{Observation, Readiness};
use gsgate::server::{AdminConfig, Config, Server};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::rig::{rest, within};

#[tokio::test]
async fn the_operator_sees_health_and_metrics() {
    let (metrics, readiness) = (Metrics::new(), Readiness::new());
    let admin =
        AdminConfig { listen: "127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into(), ..AdminConfig::default() };
    let server = Server::bind(&Config::for_admin(&admin), Metrics::new()).unwrap();
    let (address, stop) = (server.local_addrs()[0], CancellationToken::new());
    let done = tokio::spawn(server.run(Admin::new(metrics.clone(), readiness.clone()), stop.clone()));
    let ask = async |method: &str, path: &str| {
        let mut stream = within(TcpStream::connect(address)).await.unwrap();
        let request = format!("{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        rest(&mut stream).await
    };
    assert!(ask("GET", "/readyz").await.starts_with("HTTP/1.1 503 "));
    readiness.observe(Observation::Usable);
    assert!(ask("GET", "/readyz").await.starts_with("HTTP/1.1 200 "));
    metrics.token_refresh("ok");
    let page = ask("GET", "/metrics").await;
    assert!(page.contains("application/openmetrics-text") && page.contains("gsgate_token_refreshes_total"), "{page}");
    assert!(ask("HEAD", "/metrics").await.ends_with("\r\n\r\n"));
    let refused = ask("DELETE", "/metrics").await;
    assert!(refused.starts_with("HTTP/1.1 405 ") && refused.contains("allow: GET, HEAD"), "{refused}");
    stop.cancel();
    assert_eq!(within(done).await.unwrap().aborted, 0);
}
