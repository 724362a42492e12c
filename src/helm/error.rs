//! What can be wrong with a chart or with what is given to it.

/// Why a chart cannot be read or rendered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChartError {
    /// Charts cannot be rendered yet.
    #[error("charts cannot be rendered yet")]
    Unsupported,
}

impl ChartError {
    /// A way out, where one is known.
    pub fn help(&self) -> Option<String> {
        None
    }
}
