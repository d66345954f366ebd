//! As much of Markdown as the document's descriptions use: headings, paragraphs, numbered lists, tables, code in
//! lines and in blocks, and links within the site. Everything else is text, and all text is escaped.

use std::fmt::Write;

use crate::http::escaped;

/// A description as HTML.
pub(super) fn html(text: &str) -> String {
    let mut html = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.find(|line| !line.is_empty()) {
        // Takes the lines that go on with what this one began.
        let mut rest = |belongs: fn(&str) -> bool| std::iter::from_fn(|| lines.next_if(|line| belongs(line))).collect::<Vec<_>>();
        if let Some(heading) = line.strip_prefix("## ") {
            let id = heading.to_lowercase().replace(' ', "-");
            write!(html, "<h2 id=\"{}\">{}</h2>", escaped(&id), inline(heading)).expect(TAKES_ALL);
        } else if is_fence(line) {
            let code = lines.by_ref().take_while(|line| !is_fence(line)).collect::<Vec<_>>().join("\n");
            write!(html, "<pre>{}</pre>", escaped(&code)).expect(TAKES_ALL);
        } else if is_row(line) {
            table(&mut html, line, &rest(is_row));
        } else if is_item(line) {
            let items = std::iter::once(line).chain(rest(is_item)).filter_map(|line| line.split_once(". "));
            let items = items.map(|(_, item)| format!("<li>{}</li>", inline(item))).collect::<Vec<_>>().concat();
            write!(html, "<ol>{items}</ol>").expect(TAKES_ALL);
        } else {
            let goes_on = |line: &str| !(line.is_empty() || is_row(line) || is_item(line) || is_fence(line) || line.starts_with("## "));
            let lines = std::iter::once(line).chain(rest(goes_on));
            write!(html, "<p>{}</p>", inline(&lines.collect::<Vec<_>>().join("\n"))).expect(TAKES_ALL);
        }
    }
    html
}

const TAKES_ALL: &str = "a text takes all";

fn is_fence(line: &str) -> bool {
    line == "```"
}

fn is_row(line: &str) -> bool {
    line.starts_with("| ")
}

fn is_item(line: &str) -> bool {
    line.split_once(". ").is_some_and(|(number, _)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A table: its head, a row of dashes, its rows.
fn table(html: &mut String, head: &str, rows: &[&str]) {
    let cells = |line: &str, tag: &str| {
        let cells = line.trim_start_matches("| ").trim_end_matches(" |").split(" | ");
        cells.map(|cell| format!("<{tag}>{}</{tag}>", inline(cell))).collect::<Vec<_>>().concat()
    };
    let body = rows.iter().skip(1).map(|row| format!("<tr>{}</tr>", cells(row, "td"))).collect::<Vec<_>>().concat();
    write!(html, "<table><thead><tr>{}</tr></thead><tbody>{body}</tbody></table>", cells(head, "th")).expect(TAKES_ALL);
}

/// Text with code and links in it.
pub(super) fn inline(text: &str) -> String {
    let mut html = String::new();
    for (index, part) in text.split('`').enumerate() {
        if index % 2 == 1 {
            write!(html, "<code>{}</code>", escaped(part)).expect(TAKES_ALL);
        } else {
            html.push_str(&linked(part));
        }
    }
    html
}

fn linked(text: &str) -> String {
    let link = || {
        let (before, rest) = text.split_once('[')?;
        let (label, rest) = rest.split_once("](/")?;
        let (path, after) = rest.split_once(')')?;
        Some(format!("{}<a href=\"/{}\">{}</a>{}", escaped(before), escaped(path), escaped(label), linked(after)))
    };
    link().unwrap_or_else(|| escaped(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("one\ntwo\n\nthree", "<p>one\ntwo</p><p>three</p>")]
    #[case("## A part\nsays `<b>`.", "<h2 id=\"a-part\">A part</h2><p>says <code>&lt;b&gt;</code>.</p>")]
    #[case("1. a\n2. b\n\n3 s", "<ol><li>a</li><li>b</li></ol><p>3 s</p>")]
    #[case(
        "| a | b |\n| --- | --- |\n| 1 | `x` |",
        "<table><thead><tr><th>a</th><th>b</th></tr></thead><tbody><tr><td>1</td><td><code>x</code></td></tr></tbody></table>"
    )]
    #[case("so:\n```\nif a < 1. b:\n\n  | c |\n```\nthen", "<p>so:</p><pre>if a &lt; 1. b:\n\n  | c |</pre><p>then</p>")]
    #[case("see [it](/docs/) and [that](/x).", "<p>see <a href=\"/docs/\">it</a> and <a href=\"/x\">that</a>.</p>")]
    #[case("[no](https://elsewhere.example) [1]", "<p>[no](https://elsewhere.example) [1]</p>")]
    #[case("<script>\"'&</script>", "<p>&lt;script&gt;&quot;&#39;&amp;&lt;/script&gt;</p>")]
    #[case("[a](/\"onclick=x)", "<p><a href=\"/&quot;onclick=x\">a</a></p>")]
    fn descriptions_become_html(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(html(text), expected);
    }
}
