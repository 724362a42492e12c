//! AWS Signature Version 4, for requests whose body is not part of it.
//!
//! Source: "Signature Version 4 signing process", Amazon S3 API reference.

use std::time::SystemTime;

use ring::hmac;

use crate::credentials::Secret;

/// Bodies are verified by whoever reads them, and protected by TLS where it matters.
pub(super) const PAYLOAD: &str = "UNSIGNED-PAYLOAD";

/// Who asks.
pub(super) struct Keys {
    pub(super) id: String,
    pub(super) secret: Secret,
    pub(super) session: Option<Secret>,
}

/// What is signed.
pub(super) struct Signed<'a> {
    pub(super) method: &'a str,
    /// With everything escaped that has to be.
    pub(super) path: &'a str,
    /// In the order of its keys, escaped.
    pub(super) query: &'a str,
    /// Names in lower case, in their order; with the host.
    pub(super) headers: &'a [(&'a str, &'a str)],
}

/// The moment of a request, as the protocol writes it: `20261125T091500Z`.
pub(super) fn moment(now: SystemTime) -> String {
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    format!("{year:04}{month:02}{day:02}T{:02}{:02}{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

/// The date of a day since 1970 (civil calendar, counted in eras of 400 years that begin in March).
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year + u64::from(month <= 2), month, of_year - (153 * shifted + 2) / 5 + 1)
}

/// The value of `Authorization`.
pub(super) fn authorization(keys: &Keys, region: &str, moment: &str, what: &Signed<'_>) -> String {
    let names: Vec<&str> = what.headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let headers: String = what.headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let canonical = format!("{}\n{}\n{}\n{headers}\n{names}\n{PAYLOAD}", what.method, what.path, what.query);
    let day = &moment[..8];
    let scope = format!("{day}/{region}/s3/aws4_request");
    let hashed = hex(ring::digest::digest(&ring::digest::SHA256, canonical.as_bytes()).as_ref());
    let text = format!("AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashed}");
    let first = hmac::Key::new(hmac::HMAC_SHA256, format!("AWS4{}", keys.secret.reveal()).as_bytes());
    let key = [day, region, "s3", "aws4_request"]
        .iter()
        .fold(first, |key, part| hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&key, part.as_bytes()).as_ref()));
    let signature = hex(hmac::sign(&key, text.as_bytes()).as_ref());
    format!("AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}", keys.id)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn moments_are_written_without_separators() {
        for (seconds, want) in [
            (0, "19700101T000000Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (1_795_598_100, "20261125T091500Z"),
        ] {
            assert_eq!(moment(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)), want, "{seconds}");
        }
    }
}
