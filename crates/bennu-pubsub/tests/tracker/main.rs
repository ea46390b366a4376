//! The tracker: scripts in and out, a model beside it with clients that follow, and what joining costs.

mod client;
mod cost;
mod model;
mod roster;
mod script;
mod scripts;
