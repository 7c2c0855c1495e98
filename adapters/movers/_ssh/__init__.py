"""What the movers that work over SSH have in common.

doors, logins      the words that OpenSSH's programs need, and one login for all of them
sides              one end of a transfer: this machine or a site, and how a script runs there
programs, errors   programs on this machine, and what their last words mean
partials           folders and partial files at the destination
streams            a producer at the source piped into a consumer at the destination
introductions      one site let in to the other for one transfer
agent              packs and unpacks at sites; sent there as text
"""
