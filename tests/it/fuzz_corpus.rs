//! The corpora of the fuzz targets in `tests/fuzz`, through the same bodies.

#[path = "../fuzz/bodies/config.rs"]
mod config;
#[path = "../fuzz/bodies/credential.rs"]
mod credential;
#[path = "../fuzz/bodies/forwarded.rs"]
mod forwarded;
#[path = "../fuzz/bodies/jwt.rs"]
mod jwt;
#[path = "../fuzz/bodies/path.rs"]
mod path;
#[path = "../fuzz/bodies/range.rs"]
mod range;
#[path = "../fuzz/bodies/sign.rs"]
mod sign;
#[path = "../fuzz/bodies/token.rs"]
mod token;

use std::path::Path;

use proptest::prelude::*;

#[test]
fn every_input_that_was_ever_of_interest_is_still_good() {
    for (target, body) in [
        ("config", config::config as fn(&[u8])),
        ("credential", credential::credential),
        ("forwarded", forwarded::forwarded),
        ("jwt", jwt::jwt),
        ("path", path::path),
        ("range", range::range),
        ("sign", sign::sign),
        ("token", token::token),
    ] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
        let mut inputs = 0;
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            body(&std::fs::read(path).unwrap());
            inputs += 1;
        }
        assert!(inputs >= 5, "{target} has {inputs} inputs");
    }
}

proptest! {
    #[test]
    fn neither_is_anything_else_of_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "/c/\\PC*") {
        range::range(&bytes);
        forwarded::forwarded(&bytes);
        config::config(&bytes);
        jwt::jwt(&bytes);
        jwt::jwt(text.as_bytes());
        sign::sign(text.as_bytes());
        path::path(text.as_bytes());
        path::path(&bytes);
        token::token(text.as_bytes());
        token::token(&bytes);
    }
}
