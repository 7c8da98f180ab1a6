//! How soon an annotator can begin, beside Label Studio's own proxy, in the same browser, with storage that is far away.

use std::time::Duration;

use gsgate::emulator::Emulator;
use serde_json::Value;

use super::stage::{AUDIO, IMAGE, MOVIE, PICTURE, Stage, VIDEO, WAVEFORM, put_sample};
use crate::support::browser::Browser;
use crate::support::label_studio::{EMAIL, PASSWORD, sign_in};

/// As far away as storage is from a good office.
const AWAY: Duration = Duration::from_millis(40);
const ROUNDS: usize = 5;

/// Notes when an element has its media: an image that it is loaded, sound and video that they can be shown.
const WATCH: &str = "window.mediaReady = []; for (const event of ['load', 'loadeddata']) \
    document.addEventListener(event, ({ target }) => { if (/^(blob:|.*\\/resolve\\/)/.test(target.currentSrc || '')) \
    window.mediaReady.push(performance.now()); }, true); \
    performance.setResourceTimingBufferSize(5000);";

/// From the first request for media until its element has it, or all bytes where there is no element; until the page shows
/// it; and how many requests there were.
const SPANS: &str = "(() => { const asked = performance.getEntriesByType('resource')\
    .filter((entry) => entry.name.includes('/resolve/')); const first = Math.min(...asked.map((e) => e.startTime)); \
    const ready = window.mediaReady.length ? Math.min(...window.mediaReady) : 0; \
    const bytes = Math.max(...asked.map((e) => e.responseEnd)); \
    return [(ready || bytes) - first, performance.now() - first, asked.length]; })()";

#[derive(Default)]
struct Spans {
    media: Vec<f64>,
    shown: Vec<f64>,
    requests: f64,
}

impl Spans {
    fn add(&mut self, spans: &Value) {
        let at = |index: usize| spans[index].as_f64().unwrap();
        self.media.push(at(0));
        self.shown.push(at(1));
        self.requests = at(2);
    }
}

fn median(spans: &[f64]) -> f64 {
    let mut spans = spans.to_vec();
    spans.sort_by(f64::total_cmp);
    spans[spans.len() / 2]
}

#[tokio::test(flavor = "multi_thread")]
async fn media_is_there_in_half_the_time_of_label_studios_own_proxy() {
    let gcs = Emulator::builder().latency(AWAY).start().await.unwrap();
    let Some(stage) = Stage::set(gcs, "[cache]\nmemory = \"64 MiB\"").await else { return };
    let Some(mut browser) = Browser::launch().await else { return };
    browser.without_cache().await;
    browser.begin_pages_with(WATCH).await;
    let sides = [("Label Studio", stage.studio.url()), ("gsgate", stage.url())];
    for (_, origin) in &sides {
        sign_in(&mut browser, origin, EMAIL, PASSWORD).await;
    }
    let (mut halves, mut sums) = (Vec::new(), [0.0, 0.0]);
    for (name, config, ready) in
        [("crossing.jpg", IMAGE, PICTURE), ("tune.wav", AUDIO, WAVEFORM), ("drive.mp4", VIDEO, MOVIE)]
    {
        let mut seen = [Spans::default(), Spans::default()];
        for round in 0..ROUNDS {
            for ((who, origin), spans) in sides.iter().zip(&mut seen) {
                // An object and a task of its own, which nobody has seen or kept.
                let object = format!("{round} {who} {name}");
                put_sample(&stage.gateway, name, &object);
                let (project, tasks) = stage.project(config, &[&object]).await;
                browser.goto(&format!("{origin}/projects/{project}/data?task={}", tasks[0])).await;
                browser.wait_until(ready).await;
                spans.add(&browser.evaluate(SPANS).await);
            }
        }
        for ((who, _), spans) in sides.iter().zip(&seen) {
            let Spans { media, shown, requests } = spans;
            println!(
                "{name:<13} {who:<13} media {:>5.0} ms, shown {:>5.0} ms, {requests} requests; media of each round {media:.0?}",
                median(media),
                median(shown)
            );
        }
        let medians = [median(&seen[0].media), median(&seen[1].media)];
        sums = [sums[0] + medians[0], sums[1] + medians[1]];
        halves.push((name, medians[1] / medians[0]));
    }
    let questions = stage.studio.log().matches("?resolve_uri=false").count();
    println!("media time beside Label Studio's own: {halves:.2?}; gsgate asked Label Studio {questions} times for it");
    // A picture takes so little that a busy machine decides; all three together are certain.
    assert!(sums[1] <= sums[0] / 2.0, "{sums:.0?}");
}
