//! A chat in the browser.
fn main() {}
