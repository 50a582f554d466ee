//! A report as one page that needs nothing else: styles, charts and figures are inside.

use std::io::Write;

use serde::Serialize;

use crate::error::Result;

const PAGE: &str = include_str!("html/page.html");
const STYLE: &str = include_str!("html/page.css");
const SCRIPT: &str = include_str!("html/page.js");
/// Apache ECharts; `assets/vendor/echarts/README.md` says how it is built.
const CHARTS: &str = include_str!("../../../../assets/vendor/echarts/echarts.js");

/// Writes the page of a value that `page.js` knows: a report, or a comparison.
pub(crate) fn write(out: &mut dyn Write, title: &str, value: &impl Serialize) -> Result<()> {
    // Nothing that a label or an item says may end the element that holds it.
    let figures = serde_json::to_string(value)?.replace('<', "\\u003c");
    let parts: [(&str, &str); 5] = [
        ("{{title}}", &escaped(title)),
        ("{{style}}", STYLE),
        ("{{charts}}", CHARTS),
        ("{{script}}", SCRIPT),
        ("{{figures}}", &figures),
    ];
    let mut rest = PAGE;
    while let Some(start) = rest.find("{{") {
        out.write_all(&rest.as_bytes()[..start])?;
        rest = &rest[start..];
        let part = parts.iter().find(|(name, _)| rest.starts_with(name));
        let (name, text) = part.copied().unwrap_or(("{{", "{{"));
        out.write_all(text.as_bytes())?;
        rest = &rest[name.len()..];
    }
    Ok(out.write_all(rest.as_bytes())?)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
