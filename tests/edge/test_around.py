from __future__ import annotations

import pytest

from haproxy_voip.edge.around import Around, BadUsers


def test_a_node_without_a_users_file_has_nothing_to_read_again():
    with pytest.raises(BadUsers, match="names no users file"):
        Around().read_users()
