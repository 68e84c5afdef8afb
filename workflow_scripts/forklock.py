"""The command `forklock`, where it is not installed: python workflow_scripts/forklock.py check config/my.yaml"""

from selfdistill.commands.main import main

if __name__ == "__main__":
    main()
