"""What the movers that work over SSH have in common.

partials           folders and partial files at the destination
streams            producers at the source piped into consumers at the destination
lanes, dealing     logins side by side for them, and who takes which files
introductions      one site let in to the other for one transfer
agent              packs and unpacks at sites; sent there as text
"""
