//! The Phoenix channels protocol as values: messages, serializers and the session state machine.
