//! Media over HTTP, as RFC 9110 wants it.

<<<<<<< HEAD
mod least_privilege;
=======
mod changed;
mod conditions;
mod errors;
mod gzip;
mod headers;
mod heads;
mod log;
mod names;
mod pages;
>>>>>>> media
mod ranges;
mod tokens;
