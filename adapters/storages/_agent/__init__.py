"""A program that stays and answers questions about many files, and how to talk with it.

program        runs at a site, or beside this process; sent there as text
conversation   starts it and asks it
agents         as many of them as are asked at once
"""
