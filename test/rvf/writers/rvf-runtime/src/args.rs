//! Positional arguments and `--name value` options.

use crate::Result;
use std::collections::HashMap;

pub struct Args {
    positional: Vec<String>,
    options: HashMap<String, String>,
}

impl Args {
    pub fn read() -> Result<Self> {
        let mut args = Self { positional: Vec::new(), options: HashMap::new() };
        let mut rest = std::env::args().skip(1);
        while let Some(arg) = rest.next() {
            match arg.strip_prefix("--") {
                Some(name) => {
                    let value = rest.next().ok_or_else(|| format!("{arg} wants a value"))?;
                    args.options.insert(name.into(), value);
                }
                None => args.positional.push(arg),
            }
        }
        Ok(args)
    }

    pub fn at(&self, index: usize, name: &str) -> Result<&str> {
        Ok(self.positional.get(index).ok_or_else(|| format!("{name} is missing"))?)
    }

    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    pub fn required(&self, name: &str) -> Result<&str> {
        Ok(self.option(name).ok_or_else(|| format!("--{name} is missing"))?)
    }

    pub fn number(&self, name: &str) -> Result<Option<u64>> {
        Ok(self.option(name).map(str::parse).transpose()?)
    }

    /// The 32 bytes of a key, given in hex.
    pub fn key(&self, name: &str) -> Result<[u8; 32]> {
        let hex = self.required(name)?;
        if hex.len() != 64 || !hex.is_ascii() {
            return Err(format!("--{name} wants 64 hex digits").into());
        }
        let mut key = [0; 32];
        for (index, byte) in key.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hex[2 * index..2 * index + 2], 16)?;
        }
        Ok(key)
    }
}
