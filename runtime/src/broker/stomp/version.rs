use super::{Headers, NegotiationError};

/// A version of the protocol; later is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// 1.0: no escapes, no heart-beats, no NACK.
    V1_0,
    /// 1.1: lines end in LF alone.
    V1_1,
    /// 1.2: lines may end in CR LF; ACK by the header `ack`.
    V1_2,
}

impl Version {
    /// All of them, from the earliest.
    pub const ALL: [Version; 3] = [Version::V1_0, Version::V1_1, Version::V1_2];

    /// As it is written: `"1.2"`.
    pub fn name(self) -> &'static str {
        match self {
            Version::V1_0 => "1.0",
            Version::V1_1 => "1.1",
            Version::V1_2 => "1.2",
        }
    }

    fn parse(name: &str) -> Option<Version> {
        Version::ALL.into_iter().find(|version| version.name() == name)
    }

    /// What to write into `accept-version`: `"1.0,1.1,1.2"`.
    pub fn list(versions: &[Version]) -> String {
        versions.iter().map(|version| version.name()).collect::<Vec<_>>().join(",")
    }

    /// What a server answers to CONNECT's headers: the highest that both ends have. Without `accept-version` the client
    /// has 1.0 alone; versions that do not exist yet are passed over.
    pub fn highest_common(connect: &Headers, ours: &[Version]) -> Result<Version, NegotiationError> {
        let theirs = text(connect, "accept-version")?.unwrap_or("1.0");
        let common = theirs.split(',').filter_map(Version::parse).filter(|version| ours.contains(version));
        common
            .max()
            .ok_or_else(|| NegotiationError::NoCommonVersion { theirs: theirs.into(), ours: Version::list(ours) })
    }

    /// What a server chose of those that were `offered`, by the headers of its CONNECTED. One of 1.0 names none.
    pub fn chosen(connected: &Headers, offered: &[Version]) -> Result<Version, NegotiationError> {
        let theirs = text(connected, "version")?.unwrap_or("1.0");
        let version = Version::parse(theirs).filter(|version| offered.contains(version));
        version.ok_or_else(|| NegotiationError::NoCommonVersion { theirs: theirs.into(), ours: Version::list(offered) })
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A header that has to be text.
pub(super) fn text<'a>(headers: &'a Headers, name: &'static str) -> Result<Option<&'a str>, NegotiationError> {
    let value = headers.get(name).map(std::str::from_utf8).transpose();
    value.map_err(|_| NegotiationError::NotText(name))
}
