//! The codec from outside, against clients that keep the rules and clients that don't.

mod client;
mod decoder;
mod deflate;
mod hostile;
mod limits;
