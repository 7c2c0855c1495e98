"""What movers and storages have in common that work over SSH: OpenSSH's own programs.

doors, logins      the words that they need, and one login for all of them
sides              this machine or a site, and how a script runs there
programs, errors   programs on this machine, and what their last words mean
"""
