//! What the host tells this boot on the kernel command line.

use crate::contract::{DEFAULT_API_PORT, NONCE_KEY, PORT_KEY};

#[derive(Debug, PartialEq)]
pub struct Settings {
    /// Repeated in the ready line; empty when the host sent none.
    pub nonce: String,
    /// TCP port of the HTTP server.
    pub port: u16,
}

impl Settings {
    pub fn of_this_boot() -> Result<Settings, String> {
        let text =
            std::fs::read_to_string("/proc/cmdline").map_err(|error| format!("/proc/cmdline: {error}"))?;
        Settings::parse(&text)
    }

    /// The last of several equal keys counts, as it does for the kernel's own parameters.
    fn parse(text: &str) -> Result<Settings, String> {
        let value = |key: &str| {
            let mut pairs = text.split_whitespace().filter_map(|word| word.split_once('='));
            pairs.rfind(|(name, _)| *name == key).map(|(_, value)| value)
        };
        let port = match value(PORT_KEY) {
            None => DEFAULT_API_PORT,
            Some(port) => match port.parse() {
                Ok(port) if port > 0 => port,
                _ => return Err(format!("{PORT_KEY}={port} on the kernel command line is no TCP port")),
            },
        };
        Ok(Settings { nonce: value(NONCE_KEY).unwrap_or_default().to_owned(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (String, u16) {
        let settings = Settings::parse(text).unwrap();
        (settings.nonce, settings.port)
    }

    #[test]
    fn finds_its_keys_among_others() {
        let text = "console=ttyS0 quiet microvm.nonce=a1b2 rvf.port=9000 reboot=t\n";
        assert_eq!(parsed(text), ("a1b2".into(), 9000));
    }

    #[test]
    fn defaults_without_keys() {
        assert_eq!(parsed(""), (String::new(), 8080));
        assert_eq!(parsed("xrvf.port=1 rvf.port microvm.noncex=b"), (String::new(), 8080));
    }

    #[test]
    fn the_last_one_counts() {
        assert_eq!(parsed("rvf.port=1 rvf.port=2 microvm.nonce=a microvm.nonce=b=c"), ("b=c".into(), 2));
    }

    #[test]
    fn refuses_what_is_no_port() {
        for port in ["", "0", "-1", "65536", "8080x"] {
            assert!(Settings::parse(&format!("rvf.port={port}")).is_err(), "{port}");
        }
    }
}
