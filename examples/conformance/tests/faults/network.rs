//! What is between the first node and the bus, and can be cut.

use crate::{namespace::Namespace, proxy::Proxy};

pub(crate) enum Network {
    /// Needs no rights.
    Proxy(Proxy),
    /// Loses packets as a network does.
    Namespace(Namespace),
}

impl Network {
    pub(crate) fn cut(&self) {
        match self {
            Self::Proxy(proxy) => proxy.cut(),
            Self::Namespace(namespace) => namespace.cut(),
        }
    }

    pub(crate) fn mend(&self) {
        match self {
            Self::Proxy(proxy) => proxy.mend(),
            Self::Namespace(namespace) => namespace.mend(),
        }
    }
}
