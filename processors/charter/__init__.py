"""The charter: its language, its checks and its compiled form.

The stages, the command line and the tests import from here.
"""

from nightdesk.processors.charter.compiled import CompiledCharter as CompiledCharter
from nightdesk.processors.charter.compiled import compile_charter as compile_charter
from nightdesk.processors.charter.compiled import compiled_from_json as compiled_from_json
from nightdesk.processors.charter.model import Charter as Charter
from nightdesk.processors.charter.parsing import charter_from_json as charter_from_json
from nightdesk.processors.charter.parsing import charter_to_json as charter_to_json
from nightdesk.processors.charter.parsing import parse_charter as parse_charter
from nightdesk.processors.charter.problems import CharterInvalid as CharterInvalid
from nightdesk.processors.charter.problems import Problem as Problem
from nightdesk.processors.charter.stricter import stricter as stricter
