//! Gives the one network card the address that QEMU's user network forwards to. No DHCP: slirp's layout is fixed.

use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use nix::libc::{self, ifreq, rtentry, sockaddr, sockaddr_in};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use crate::contract::{GUEST_ADDRESS, GUEST_GATEWAY, GUEST_PREFIX};
use crate::wait;

const CARD: &str = "eth0";
const CARD_LIMIT: Duration = Duration::from_secs(2);

const UP: libc::c_int = libc::IFF_UP | libc::IFF_RUNNING;
const DOWN: libc::c_int = 0;

nix::ioctl_write_ptr_bad!(set_address, libc::SIOCSIFADDR, ifreq);
nix::ioctl_write_ptr_bad!(set_netmask, libc::SIOCSIFNETMASK, ifreq);
nix::ioctl_write_ptr_bad!(set_flags, libc::SIOCSIFFLAGS, ifreq);
nix::ioctl_write_ptr_bad!(add_route, libc::SIOCADDRT, rtentry);

pub fn up() -> Result<(), String> {
    let socket = any_socket().map_err(|error| format!("no network: {error}"))?;
    set_state(&socket, "lo", UP).map_err(|error| format!("no network: lo: {error}"))?;
    // The card is there once it takes its address.
    wait::retry(CARD_LIMIT, || address_card(&socket)).map_err(|error| format!("no network: {CARD}: {error}"))
}

/// Ends the traffic, where there is any.
pub fn down() {
    let _ = any_socket().and_then(|socket| set_state(&socket, CARD, DOWN));
}

/// Any will do to carry an order to a card.
fn any_socket() -> nix::Result<OwnedFd> {
    socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
}

fn address_card(socket: &OwnedFd) -> nix::Result<()> {
    let fd = socket.as_raw_fd();
    let mut request = request(CARD);
    request.ifr_ifru.ifru_addr = address(parse(GUEST_ADDRESS));
    // SAFETY: the kernel only reads the request, which lives until the call is over; so in all calls below.
    unsafe { set_address(fd, &request) }?;
    request.ifr_ifru.ifru_addr = address(netmask(GUEST_PREFIX));
    unsafe { set_netmask(fd, &request) }?;
    set_state(socket, CARD, UP)?;
    // SAFETY: all zeros is a valid rtentry.
    let mut route: rtentry = unsafe { std::mem::zeroed() };
    route.rt_dst = address(Ipv4Addr::UNSPECIFIED);
    route.rt_genmask = address(Ipv4Addr::UNSPECIFIED);
    route.rt_gateway = address(parse(GUEST_GATEWAY));
    route.rt_flags = libc::RTF_UP | libc::RTF_GATEWAY;
    unsafe { add_route(fd, &route) }?;
    Ok(())
}

fn set_state(socket: &OwnedFd, name: &str, flags: libc::c_int) -> nix::Result<()> {
    let mut request = request(name);
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    unsafe { set_flags(socket.as_raw_fd(), &request) }?;
    Ok(())
}

fn request(name: &str) -> ifreq {
    // SAFETY: all zeros is a valid ifreq.
    let mut request: ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    request
}

fn address(ip: Ipv4Addr) -> sockaddr {
    let address = sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: 0,
        sin_addr: libc::in_addr { s_addr: u32::from(ip).to_be() },
        sin_zero: [0; 8],
    };
    // SAFETY: sockaddr is the untyped form of sockaddr_in, of the same size.
    unsafe { std::mem::transmute(address) }
}

fn netmask(prefix: u8) -> Ipv4Addr {
    Ipv4Addr::from(u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0))
}

fn parse(text: &str) -> Ipv4Addr {
    text.parse().expect("the contract holds addresses")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_holds_addresses_of_one_network() {
        let mask = u32::from(netmask(GUEST_PREFIX));
        assert_eq!(netmask(24), Ipv4Addr::new(255, 255, 255, 0));
        assert_eq!(u32::from(parse(GUEST_ADDRESS)) & mask, u32::from(parse(GUEST_GATEWAY)) & mask);
    }
}
