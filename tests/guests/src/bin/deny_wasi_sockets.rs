//! Asks `wasi:sockets` for an address, a TCP connection and a UDP socket (NETX-020, NETX-021).

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Answer, Context, Error, answer};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::ip_name_lookup::resolve_addresses;
use wasip2::sockets::network::IpAddressFamily;
use wasip2::sockets::tcp_create_socket::create_tcp_socket;
use wasip2::sockets::udp_create_socket::create_udp_socket;

fn run(_: &Context, _: &str) -> Result<Answer, Error> {
    let network = instance_network();
    let resolved = resolve_addresses(&network, "localhost").is_ok();
    let tcp = create_tcp_socket(IpAddressFamily::Ipv4).is_ok();
    let udp = create_udp_socket(IpAddressFamily::Ipv4).is_ok();
    answer(&[resolved, tcp, udp])
}

flowhost_test_guests::guest!(run);
