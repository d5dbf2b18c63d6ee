//! What goes over the wire: the server as a client and an upstream see it.

mod audit;
mod bodies;
mod factors;
mod forwarding;
mod in_flight;
mod layer;
mod limits;
mod lists;
mod own;
mod refusals;
mod sessions;
mod shape;
mod shutdown;
mod signing_keys;
mod slow;
mod tls;
mod websocket;
