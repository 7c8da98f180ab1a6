//! Diffgram's URL signer: `GET /-/diffgram/{bucket}?key=KEY&method=get` gets `{"url": "…"}`.
//!
//! Decides whether the caller is Diffgram's server and what it asks for; `{base}` of the contract is `…/-/diffgram`.
//! Only reading is served: `method=put` is refused. Follows
//! <https://docs.diffgram.com/docs/custom-url-signer> as far as that is public.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::{Secret, VendorRefusal, parameter};

/// The adapter.
#[derive(Clone, Debug)]
pub struct Diffgram {
    /// The one value of `Authorization` that is answered.
    pub authorization: Secret,
    /// The connections whose objects URLs are given for.
    pub connections: Vec<String>,
    /// How browsers reach the gateway; without a slash at its end.
    pub public_url: String,
}

impl Diffgram {
    /// The key that is asked for, if the caller is Diffgram's server.
    pub fn read(&self, headers: &HeaderMap, query: Option<&str>) -> Result<String, VendorRefusal> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let value = values.next().filter(|_| values.next().is_none()).ok_or(VendorRefusal::Caller)?;
        if !self.authorization.equals(value.as_bytes()) {
            return Err(VendorRefusal::Caller);
        }
        if parameter(query, "method").as_deref() != Some("get") {
            return Err(VendorRefusal::Request);
        }
        parameter(query, "key").filter(|key| !key.is_empty()).ok_or(VendorRefusal::Request)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const VALUE: &str = "eyJhbGciOiJIUzI1NiJ9.e30.session-of-the-server";

    fn read(values: &[&str], query: &str) -> Result<String, &'static str> {
        let authorization = Secret::new(VALUE.as_bytes().to_vec()).expect("long enough");
        let adapter = Diffgram { authorization, connections: Vec::new(), public_url: String::new() };
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).expect("legal"));
        }
        adapter.read(&headers, Some(query)).map_err(|refusal| refusal.reason())
    }

    #[test]
    fn only_the_server_is_answered_and_only_about_reading() {
        assert_eq!(read(&[VALUE], "key=a%2Fb.jpg&method=get"), Ok("a/b.jpg".to_owned()));
        for (values, query, reason) in [
            (&[][..], "key=a&method=get", "vendor-caller"),
            (&["other"], "key=a&method=get", "vendor-caller"),
            (&[VALUE, VALUE], "key=a&method=get", "vendor-caller"),
            (&[VALUE], "key=a&method=put", "vendor-request"),
            (&[VALUE], "key=a", "vendor-request"),
            (&[VALUE], "method=get", "vendor-request"),
            (&[VALUE], "key=&method=get", "vendor-request"),
            (&[VALUE], "key=a&key=b&method=get", "vendor-request"),
        ] {
            assert_eq!(read(values, query), Err(reason), "{values:?} {query}");
        }
    }
}
