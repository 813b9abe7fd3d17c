"""Markdown of written answers, rendered by the page's own module in Chromium: what comes out, and what never does."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.support.chromium import visit
from tests.support.stub_server import serve_stub

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

RENDER = """async (text) => {
  const { renderMarkdown } = await import("/conversation/markdown.js");
  const place = document.createElement("div");
  place.append(renderMarkdown(text));
  document.querySelector("main").append(place);
  const html = place.innerHTML;
  place.remove();
  return html;
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def page(browser: Browser) -> AsyncIterator[Page]:
    async with serve_stub() as stub, visit(browser, stub.url) as opened:
        yield opened


async def render(page: Page, text: str) -> str:
    return await page.evaluate(RENDER, text)


def code(language: str, text: str) -> str:
    return (
        f'<div class="code"><span class="language">{language}</span><button class="copy" type="button">Copy</button>'
        f'<pre tabindex="0"><code>{text}</code></pre></div>'
    )


def table(head: str, *rows: str) -> str:
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f'<div class="table" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def link(address: str, label: str) -> str:
    return f'<a href="{address}" target="_blank" rel="noopener noreferrer nofollow" title="{address}">{label}</a>'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("one\ntwo\n\nthree", "<p>one two</p><p>three</p>"),
        ("one  \ntwo", "<p>one<br>two</p>"),
        ("# One\n###### Six #\n### Three\n# One", "<h3>One</h3><h4>Six</h4><h5>Three</h5><h3>One</h3>"),
        (
            "**b** *i* __b__ _i_ ~~s~~",
            "<p><strong>b</strong> <em>i</em> <strong>b</strong> <em>i</em> <del>s</del></p>",
        ),
        ("***both***", "<p><strong><em>both</em></strong></p>"),
        ("**a *b* c**", "<p><strong>a <em>b</em> c</strong></p>"),
        ("2 * 3 * 4 and a_b_c and 5*", "<p>2 * 3 * 4 and a_b_c and 5*</p>"),
        (r"\*not\* \`code\`", "<p>*not* `code`</p>"),
        ("`a*b*` ``c`d``", "<p><code>a*b*</code> <code>c`d</code></p>"),
        ("- one\n- two\n  - in\n- three", "<ul><li>one</li><li>two<ul><li>in</li></ul></li><li>three</li></ul>"),
        ("3. c\n4. d", '<ol start="3"><li>c</li><li>d</li></ol>'),
        ("1. a\n\n2. b\n\nend", '<ol start="1"><li>a</li><li>b</li></ol><p>end</p>'),
        ("> one\n> - two", "<blockquote><p>one</p><ul><li>two</li></ul></blockquote>"),
        ("a\n\n---\nb", "<p>a</p><hr><p>b</p>"),
        ("```py\na < b  # **x**\n```\nafter", code("py", "a &lt; b  # **x**") + "<p>after</p>"),
        ("~~~\n```\n~~~", code("code", "```")),
        ("```\nstill open", code("code", "still open")),
        (
            "a\n| **N** | Size |\n|---|:-:|\n| x\\|y | 2 |\n\nb",
            "<p>a</p>" + table("<th><strong>N</strong></th><th>Size</th>", "<td>x|y</td><td>2</td>") + "<p>b</p>",
        ),
        ("one | two\nthree", "<p>one | two three</p>"),
        ("[site](https://example.com/a_(b))", f"<p>{link('https://example.com/a_(b)', 'site')}</p>"),
        ("<https://example.com/>.", f"<p>{link('https://example.com/', 'https://example.com/')}.</p>"),
        ("[me](mailto:a@example.com)", f"<p>{link('mailto:a@example.com', 'me')}</p>"),
    ],
)
async def test_markdown_becomes_elements(page: Page, text: str, expected: str) -> None:
    assert await render(page, text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "![picture](https://example.com/x.png)",
        "![x](javascript:alert(1))",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](java\tscript:alert(1))",
        "[x](data:text/html,<script>alert(1)</script>)",
        "[x](vbscript:alert(1))",
        "[x](//example.com)",
        "[x](/api/offer)",
        "[x](file:///etc/passwd)",
        "[x](blob:https://example.com/1)",
        '[x](https://example.com/" onmouseover="alert(1))',
        '[<img src=x onerror=alert(1)>](https://example.com "t\'><script>")',
        "[**b](https://example.com)**",
        '```"><script>alert(1)</script>\nx',
        '# <a href="javascript:alert(1)">x</a>',
        "> <iframe src=https://example.com></iframe>",
        "&lt;script&gt;",
        "\u0000<b>\u202e",
        "\ud800 lone half",
    ],
)
async def test_hostile_text_stays_text(page: Page, text: str) -> None:
    html = await render(page, text)
    script = """(html) => {
      const found = new DOMParser().parseFromString(html, "text/html").body.querySelectorAll("*");
      const known = ("P A STRONG EM DEL CODE PRE UL OL LI BLOCKQUOTE H3 H4 H5 H6 HR BR DIV SPAN BUTTON " +
        "TABLE THEAD TBODY TR TH TD").split(" ");
      const attributes = new Set("href target rel title class type tabindex start".split(" "));
      return [...found].flatMap((element) => [
        ...(known.includes(element.tagName) ? [] : [element.tagName]),
        ...[...element.attributes].map(({ name }) => name).filter((name) => !attributes.has(name)),
        ...(element.href && !/^(https?|mailto):/.test(element.href) ? [element.href] : []),
        ...(element.href && element.rel !== "noopener noreferrer nofollow" ? [element.outerHTML] : []),
      ]);
    }"""
    assert await page.evaluate(script, html) == []


@pytest.mark.parametrize(
    "text",
    [
        "*" * 20_000,
        "**a " * 10_000,
        "[" * 20_000,
        "[a](" * 10_000,
        "`" * 20_001,
        "`a" * 10_000,
        "> " * 10_000,
        "\n".join(" " * n + "- a" for n in range(2_000)),
        "1. " * 10_000,
        "_a*b" * 10_000,
        "http://" * 5_000,
        "a\n" * 50_000,
        "a|b\n-|-\n" * 5_000,
        "|-|\n" + "|" * 20_000 + "a",
    ],
)
async def test_text_that_is_made_to_cost_much_is_rendered_whole(page: Page, text: str) -> None:
    n_letters = (
        "(html) => new DOMParser().parseFromString(html, 'text/html').body.textContent.replace(/[^a]/g, '').length"
    )
    assert await page.evaluate(n_letters, await render(page, text)) == text.count("a")


async def test_code_can_be_copied(page: Page) -> None:
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    copied = """async () => {
      const { renderMarkdown } = await import("/conversation/markdown.js");
      const place = document.createElement("div");
      place.append(renderMarkdown("```\\na\\n  b\\n```"));
      document.querySelector("main").append(place);
      const button = place.querySelector("button");
      button.click();
      while (button.textContent === "Copy") await new Promise((resolve) => setTimeout(resolve, 20));
      return [button.textContent, await navigator.clipboard.readText()];
    }"""
    assert await page.evaluate(copied) == ["Copied", "a\n  b"]
