"""What an edge runtime provides."""

import importlib.metadata
import importlib.util

from tfgen.errors import UserError


class Runtime:
    """Converts graphs of verbs to files of a runtime, and runs such files.

    Attributes:
        name: the name of the format, and of the extra that installs its packages.
        packages: {module: distribution} that conversion and running need.
        suffix: suffix of the file (or folder) of one verb.
        settings: {setting: value} with which the runtime must be started to give the numbers of the model.
    """

    name, suffix, packages, settings = None, None, {}, {}

    def require(self):
        """Raises a `UserError` that says what to install if a package is missing."""
        if missing := [dist for module, dist in self.packages.items() if importlib.util.find_spec(module) is None]:
            raise UserError(f"--format {self.name} expects {', '.join(missing)}, which this environment does not have: "
                            f"pip install 'tfgen[{self.name}]'")

    def versions(self):
        """{distribution: version} of its packages."""
        return {dist: importlib.metadata.version(dist) for dist in self.packages.values()}

    def convert(self, graph, path):
        """Writes an `EdgeGraph` to `path`, whose suffix is `suffix`."""
        raise NotImplementedError(f"{type(self).__name__} must define convert(graph, path)")

    def load(self, path):
        """A function {input: array} -> {output: array} that runs the file (or folder) at `path`."""
        raise NotImplementedError(f"{type(self).__name__} must define load(path)")
