//! What the server room does with connections, whatever the requests on them mean.

mod admin;
mod bodies;
mod heads;
mod lifecycle;
mod limits;
mod proxy_protocol;
mod rig;
mod stalls;
mod tls;
