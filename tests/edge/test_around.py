from __future__ import annotations

import pytest

from haproxy_voip.edge.around import Around, BadConfiguration, BadUsers


def test_a_node_without_a_users_file_has_nothing_to_read_again():
    with pytest.raises(BadUsers, match="names no users file"):
        Around().read_users()


def test_a_node_that_was_not_made_of_a_file_cannot_be_reloaded():
    with pytest.raises(BadConfiguration, match="not started with a configuration file"):
        Around().load()
