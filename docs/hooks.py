"""What MkDocs does beside reading docs/: pages per package, and files of the repository that pages link to."""

import pathlib
import posixpath
import re

from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).parents[1]
# Pages that lie in the repository's root, by their names in the site.
OTHERS = {"results.md": "RESULTS.md", "changelog.md": "CHANGELOG.md"}
FOLDER = re.compile(r"\[([^\[\]]+)\]\(((?!https?:)[^)#]+)\)")
LINK = re.compile(r"\]\(((?!https?:|#|mailto:)[^)#]+)(#[^)]*)?\)")


def packages():
    """Packages and modules of tfgen with a page, by their names."""
    found = sorted(path.parent if path.name == "__init__.py" else path.with_suffix("")
                   for path in [*ROOT.glob("tfgen/[a-z]*.py"), *ROOT.glob("tfgen/[a-z]*/__init__.py")])
    return [".".join(path.relative_to(ROOT).parts) for path in found]


def on_config(config):
    """Adds the pages per package to the navigation."""
    config.nav.append({"Packages": [{name.partition(".")[2]: f"api/{name}.md"} for name in packages()]})
    return config


def on_files(files, config):
    """Adds the pages per package and those of the root."""
    for name in packages():
        source = ROOT / name.replace(".", "/")
        # What a package passes on from its modules is not shown twice.
        whole = source.is_dir() and "__all__" not in (source / "__init__.py").read_text("utf-8")
        content = f"::: {name}\n    options:\n      show_submodules: {str(whole).lower()}\n"
        files.append(File.generated(config, f"api/{name}.md", content=content))
    for page, source in OTHERS.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text("utf-8")))
    return files


def on_page_markdown(markdown, page, config, files):
    """Links to files outside of docs/ become links to copies in the site; links to folders there, plain text."""
    folder = (ROOT / OTHERS.get(page.file.src_uri, f"docs/{page.file.src_uri}")).parent

    def moved(match):
        target = (folder / match[1]).resolve()
        if not target.is_relative_to(ROOT):
            return match[0]
        path, known = target.relative_to(ROOT).as_posix(), {source: name for name, source in OTHERS.items()}
        if path.startswith("docs/"):
            wanted = path.removeprefix("docs/")
        elif path in known:
            wanted = known[path]
        elif target.is_file():
            wanted = f"repository/{path}"
            if files.get_file_from_path(wanted) is None:
                files.append(File.generated(config, wanted, abs_src_path=str(target)))
        else:
            return match[0]
        return f"]({posixpath.relpath(wanted, posixpath.dirname(page.file.src_uri) or '.')}{match[2] or ''})"

    def unlinked(match):
        return match[1] if (folder / match[2]).is_dir() else match[0]

    return LINK.sub(moved, FOLDER.sub(unlinked, markdown))
