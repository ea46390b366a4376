//! Topics to subscribers: encode-once broadcast in one order per topic.
