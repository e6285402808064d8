-- Prosody 0.12 behind the proxy. `run` fills in what is written @LIKE_THIS@; see README.md for what a server of yours needs
-- of it. Every setting that is there because of the proxy is marked "proxy:".

run_as_root = @ROOT@                     -- only where nobody else is there to run it; packages have a user of their own
data_path = "@INSTANCE@/data"
certificates = "@INSTANCE@/certs"
pidfile = "@INSTANCE@/prosody.pid"
daemonize = false
log = { { levels = { min = "@LOG@" }, to = "file", filename = "@INSTANCE@/prosody.log" } }

plugin_paths = { "@MODULES@" }

interfaces = { "@ADDRESS@" }
local_interfaces = { "@ADDRESS@" }
c2s_ports = { @PORT@ }
c2s_direct_tls_ports = { @TLS_PORTS@ }
s2s_ports = { }
http_ports = { }
https_ports = { }

modules_enabled = {
	"disco", "roster", "saslauth", "tls", "presence", "message", "iq", "offline", "c2s", "posix",
	"ping", "version", "time", "uptime", "private", "vcard4", "vcard_legacy", "pep", "bookmarks", "blocklist", "csi_simple",
	"carbons",                           -- proxy: every session of a user is kept alike on both servers
	"smacks",                            -- proxy: stream management (XEP-0198), by which it knows what the server has taken
	"mam",                               -- clients fetch what they missed
	"groups",                            -- contact lists that the administrator writes
	"admin_shell",
	@PROXY_MODULE@                       -- proxy: "proxy_accounts", only for `login: impersonation`, see README.md
}
proxy_accounts = { @PROXY_ACCOUNTS@ }
groups_file = "@INSTANCE@/contacts"
modules_disabled = { "s2s" }

-- proxy: one connection per chat client, all of them from one address. These limits are per connection; keep them generous.
limits = { c2s = { rate = "1mb/s", burst = "2s" } }

-- proxy: how long a session outlives its connection. Long enough for the proxy to come back, and no longer: after a failover
-- these are sessions of users who are elsewhere by now.
smacks_hibernation_time = @HIBERNATION@
smacks_max_unacked_stanzas = 10

-- proxy: it speaks TLS to the clients; whether it does to you is your network's matter (`tls` of the backend).
c2s_require_encryption = @REQUIRE_TLS@
allow_unencrypted_plain_auth = @PLAIN_WITHOUT_TLS@

-- proxy: hashed passwords with the same salt on every server let it log users in by the key their own login proved.
authentication = "@AUTHENTICATION@"

-- Prosody's own files are slow as an archive; SQLite (Debian: lua-dbi-sqlite3) is not.
storage = { archive = "sql", @SHARED_STORES@ }
sql = { driver = "SQLite3", database = "@DATABASE@" }
default_archive_policy = @ARCHIVE@
archive_expires_after = "1w"

VirtualHost "@DOMAIN@"
	ssl = { certificate = "@INSTANCE@/certs/@DOMAIN@.crt", key = "@INSTANCE@/certs/@DOMAIN@.key" }

-- proxy: the same rooms' address on every server; rooms themselves live on the server their users are on.
Component "rooms.@DOMAIN@" "muc"
	modules_enabled = { "muc_mam" }
	muc_room_default_public = true
	muc_room_default_history_length = 20
	muc_room_locking = false             -- proxy: a room that its users open anew after a failover is open at once
	restrict_room_creation = false
