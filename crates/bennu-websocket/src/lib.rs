//! RFC 6455 (server side) as values: handshake, frames, close rules, limits, permessage-deflate.
